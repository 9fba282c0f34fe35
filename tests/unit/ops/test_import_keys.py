"""Every setting storage proxy 26.3.2 has is taken over, or told of with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.importing import Imported, read_settings
from ops.importing.left import UNKNOWN

#: Each field of its settings, by the name it has in a file, with a value it takes.
FIELDS = """
storage-proxy.ipc-base-path = "/tmp/backend.ai/ipc"
storage-proxy.node-id = "storage-proxy-1"
storage-proxy.num-proc = 4
storage-proxy.pid-file = "/run/storage-proxy.pid"
storage-proxy.event-loop = "uvloop"
storage-proxy.scandir-limit = 1000
storage-proxy.max-upload-size = "100g"
storage-proxy.secret = "0123456789abcdef0123456789abcdef"
storage-proxy.session-expire = "1d"
storage-proxy.user = 1000
storage-proxy.group = 1000
storage-proxy.aiomonitor-termui-port = 38300
storage-proxy.aiomonitor-port = 38300
storage-proxy.aiomonitor-webui-port = 39300
storage-proxy.watcher-insock-path-prefix = "/run/in"
storage-proxy.watcher-outsock-path-prefix = "/run/out"
storage-proxy.use-watcher = true
storage-proxy.use-experimental-redis-event-dispatcher = true
storage-proxy.allow-auto-quota-scope-creation = true
storage-proxy.auto-quota-scope-creation = true
storage-proxy.volume-stats.observe-interval = 10.0
storage-proxy.volume-stats.observe-timeout = 5.0
storage-proxy.volume-stats.cache-ttl = 30.0
pyroscope.enabled = true
pyroscope.app-name = "storage-proxy"
pyroscope.server-addr = "http://pyroscope:4040"
pyroscope.sample-rate = 100
logging.version = 1
logging.level = "INFO"
logging.disable-existing-loggers = false
logging.handlers.one.class = "logging.StreamHandler"
logging.handlers.one.level = "INFO"
logging.handlers.one.endpoint = "ipc:///run/x"
logging.handlers.one.msgpack-options = { pack_opts = { strict = true } }
logging.loggers.one.handlers = ["one"]
logging.loggers.one.level = "INFO"
logging.loggers.one.propagate = true
logging.drivers = ["console", "file"]
logging.console.colored = true
logging.console.format = "simple"
logging.file.path = "/var/log/backend.ai"
logging.file.filename = "storage-proxy.log"
logging.file.backup-count = 5
logging.file.rotation-size = "10MB"
logging.file.format = "verbose"
logging.logstash.endpoint = { host = "logs", port = 5044 }
logging.logstash.protocol = "tcp"
logging.logstash.ssl-enabled = true
logging.logstash.ssl-verify = true
logging.graylog.host = "logs"
logging.graylog.port = 12201
logging.graylog.level = "INFO"
logging.graylog.localname = "here"
logging.graylog.fqdn = "here.example.com"
logging.graylog.ssl-verify = true
logging.graylog.ca-certs = "/etc/ssl/ca.pem"
logging.graylog.keyfile = "/etc/ssl/key.pem"
logging.graylog.certfile = "/etc/ssl/cert.pem"
logging.pkg-ns = { "" = "WARNING", "ai.backend" = "INFO" }
api.client.service-addr = "0.0.0.0:6021"
api.client.ssl-enabled = true
api.client.ssl-cert = "/etc/ssl/cert.pem"
api.client.ssl-privkey = "/etc/ssl/key.pem"
api.manager.service-addr = { host = "127.0.0.1", port = 6022 }
api.manager.announce-addr = { host = "127.0.0.1", port = 6022 }
api.manager.announce-internal-addr = { host = "host.docker.internal", port = 6023 }
api.manager.internal-addr = { host = "127.0.0.1", port = 16023 }
api.manager.ssl-enabled = true
api.manager.ssl-cert = "/etc/ssl/cert.pem"
api.manager.ssl-privkey = "/etc/ssl/key.pem"
api.manager.secret = "0123456789abcdef0123456789abcdef"
volume.disk.backend = "vfs"
volume.disk.path = "/srv/disk"
volume.disk.fsprefix = "."
volume.disk.options = { some = "thing" }
debug.enabled = false
debug.asyncio = false
debug.enhanced-aiomonitor-task-info = false
debug.log-events = false
service-discovery.type = "redis"
service-discovery.instance-id = "one"
service-discovery.service-group = "storage-proxy"
service-discovery.display-name = "one"
service-discovery.extra-labels = { a = "b" }
service-discovery.endpoints = [{ role = "main", scope = "private", address = "x", port = 1, protocol = "http" }]
otel.enabled = false
otel.log-level = "INFO"
otel.endpoint = "http://otel:4317"
otel.max-queue-size = 65536
otel.max-export-batch-size = 4096
etcd.namespace = "local"
etcd.addr = [{ host = "127.0.0.1", port = 2379 }]
etcd.user = "somebody"
etcd.password = "something"
storages = [{ name = "minio", endpoint = "http://minio:9000", buckets = ["b"], region = "r" }]
registries = [{ name = "hub", config = { type = "huggingface", token = "t" } }]
artifact-storages.one.type = "vfs_storage"
artifact-storages.one.vfs-storage = { base-path = "/srv/models", subpath = "x", max-file-size = 1 }
artifact-storages.one.object-storage = { endpoint = "http://minio:9000", presigned-upload = { expiration = 300 } }
artifact-registries.one.type = "reservoir"
artifact-registries.one.huggingface = { endpoint = "https://huggingface.co", token = "t" }
artifact-registries.one.reservoir = { manager-endpoint = "http://manager:8091", storage-name = "one" }
reservoir-client.timeout-total = 300
reservoir-client.timeout-connect = 10
reservoir-client.timeout-sock-connect = 30
reservoir-client.timeout-sock-read = 10
""".strip().splitlines()
#: What stands beside each of them, so that there is something to serve, and something TLS can be switched on for.
BESIDE = {
    "volume.disk.backend": '"vfs"',
    "volume.disk.path": '"/srv/disk"',
    "api.client.ssl-cert": '"/etc/ssl/cert.pem"',
    "api.manager.ssl-cert": '"/etc/ssl/cert.pem"',
}
OVER = {
    "storage-proxy.node-id",
    "storage-proxy.num-proc",
    "storage-proxy.scandir-limit",
    "storage-proxy.max-upload-size",
    "storage-proxy.secret",
    "storage-proxy.session-expire",
    "logging.level",
    *(f"api.{side}.{key}" for side in ("client", "manager") for key in ("service-addr", "ssl-enabled")),
    *(f"api.{side}.{key}" for side in ("client", "manager") for key in ("ssl-cert", "ssl-privkey")),
    "api.manager.internal-addr",
    "api.manager.secret",
    "volume.disk.backend",
    "volume.disk.path",
}


def imported(folder: Path, key: str, value: str) -> Imported:
    source = folder / "storage-proxy.toml"
    lines = {**BESIDE, key: value}
    source.write_text("".join(f"{name} = {text}\n" for name, text in lines.items()))
    return read_settings([source])


def told(found: Imported, key: str) -> str:
    """Why a key, or the table it stands in, or each key below it, was not taken over."""
    parts = key.split(".")
    above = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    reasons = [why for name, why in found.notes.items() if name in above or name.startswith(f"{key}.")]
    assert reasons, f"{key} is neither taken over nor told of"
    return "; ".join(reasons)


@pytest.mark.parametrize("line", FIELDS)
def test_a_field_is_taken_over_or_told_of(tmp_path: Path, line: str) -> None:
    key, _, value = line.partition(" = ")
    found = imported(tmp_path, key, value)
    assert (key in found.taken) == (key in OVER)
    if key not in OVER:
        assert UNKNOWN not in told(found, key)


@pytest.mark.parametrize("line", [line for line in FIELDS if "-" in line.partition(" = ")[0]])
def test_names_with_underscores_are_the_same(tmp_path: Path, line: str) -> None:
    key, _, value = line.partition(" = ")
    found = imported(tmp_path, key.replace("-", "_"), value)
    assert (key in found.taken) == (key in OVER)
    if key not in OVER:
        assert UNKNOWN not in told(found, key)


@pytest.mark.parametrize(
    "key", ["storage-proxy.brand-new", "brand-new", "api.client.brand-new", "volume.disk.brand-new"]
)
def test_what_nobody_knows_is_told_as_well(tmp_path: Path, key: str) -> None:
    found = imported(tmp_path, key, "1")
    assert "known here" in found.notes[key]


def test_every_field_that_is_taken_over_is_a_field() -> None:
    assert {line.partition(" = ")[0] for line in FIELDS} >= OVER


def test_what_is_said_of_performance_metrics(tmp_path: Path) -> None:
    found = imported(tmp_path, "storage-proxy.volume-stats.cache-ttl", "30.0")
    assert "performance metrics" in found.notes["storage-proxy.volume-stats.cache-ttl"]

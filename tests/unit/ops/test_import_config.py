"""Settings of Backend.AI's storage proxy, read and written in ours."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from domain.errors import InvalidRequestError
from ops.cli import main
from ops.import_config import import_settings
from ops.settings import load_settings

THEIRS = """
[etcd]
namespace = "local"
addr = { host = "127.0.0.1", port = 2379 }

[logging]
level = "INFO"
drivers = ["console"]

[storage-proxy]
node-id = "i-storage-1"
num-proc = 4
pid-file = "/var/run/storage-proxy.pid"
event-loop = "uvloop"
scandir-limit = 1000
max-upload-size = "100g"
secret = "some-secret-private-for-storage-proxy"
session-expire = "1d"
user = 1000

[api.client]
service-addr = { host = "0.0.0.0", port = 6021 }
ssl-enabled = true
ssl-cert = "/etc/ssl/c.pem"
ssl-privkey = "/etc/ssl/k.pem"

[api.manager]
service-addr = "127.0.0.1:6022"
announce_addr = { host = "127.0.0.1", port = 6022 }
internal-addr = { host = "127.0.0.1", port = 16023 }
ssl-enabled = false
ssl-cert = "/etc/ssl/c.pem"
secret = "some-secret-shared-with-manager"

[volume]

[volume.myvolume1]
backend = "vfs"
path = "/vfroot/vfs"

[volume."fast.one"]
backend = "netapp"
path = "/vfroot/netapp"
fsprefix = "sub"
[volume."fast.one".options]
netapp_endpoint = "https://10.0.0.1"
netapp_password = "hidden"
"""


def test_everything_is_taken_or_told(tmp_path: Path) -> None:
    source, out = tmp_path / "storage-proxy.toml", tmp_path / "penstock.toml"
    source.write_text(THEIRS)
    done = CliRunner().invoke(main, ["import-config", str(source), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    settings = load_settings(out)
    gateway = settings.gateway
    assert (gateway.processes, gateway.list_limit, gateway.max_upload_bytes) == (4, 1000, 100 << 30)
    assert gateway.token_seconds == 86400
    assert gateway.manager_secret.get_secret_value() == "some-secret-shared-with-manager"
    assert gateway.token_secret.get_secret_value() == "some-secret-private-for-storage-proxy"
    assert (gateway.client.host, gateway.client.port) == ("0.0.0.0", 6021)
    assert (gateway.client.tls_certificate, gateway.client.tls_key) == (
        Path("/etc/ssl/c.pem"),
        Path("/etc/ssl/k.pem"),
    )
    assert (gateway.manager.port, gateway.manager.tls_certificate) == (6022, None)
    assert settings.internal.gateway.port == 16023
    assert settings.backendai.source == "i-storage-1"
    assert {name: volume.options for name, volume in settings.volumes.items()} == {
        "myvolume1": {"path": "/vfroot/vfs"},
        "fast.one": {"path": "/vfroot/netapp"},
    }
    leaves = {
        "etcd.addr",
        "etcd.namespace",
        "logging.drivers",
        "storage-proxy.pid-file",
        "storage-proxy.event-loop",
        "storage-proxy.user",
        "api.manager.announce-addr",
        "volume.fast.one.backend",
        "volume.fast.one.fsprefix",
        "volume.fast.one.options.netapp_endpoint",
        "volume.fast.one.options.netapp_password",
    }
    assert leaves <= set(told["notes"])
    assert not set(told["notes"]) & set(told["taken"]) - {"volume.fast.one.backend"}


def test_secrets_go_to_a_file_of_their_own(tmp_path: Path) -> None:
    source, out = tmp_path / "storage-proxy.toml", tmp_path / "penstock.toml"
    source.write_text(THEIRS)
    done = CliRunner().invoke(main, ["import-config", str(source), "--out", str(out)])
    for secret in ("some-secret", "hidden"):
        assert secret not in out.read_text()
        assert secret not in done.output
    assert stat.S_IMODE((tmp_path / "penstock.secrets").stat().st_mode) == 0o600
    again = CliRunner().invoke(main, ["import-config", str(source), "--out", str(out)])
    assert again.exit_code == 1
    assert "is there already" in again.output


def test_a_short_key_is_replaced() -> None:
    found = import_settings('[storage-proxy]\nsecret = "short"\n')
    assert len(found.secrets["TOKEN_SECRET"]) >= 32
    assert "storage-proxy.secret" in found.notes


@pytest.mark.parametrize(
    ("text", "seconds", "size"),
    [("1d", 86400, 1 << 30), ("90", 90, 1 << 30), ("1.5h", 5400, 1 << 30), ("2w", 1209600, 1 << 30)],
)
def test_durations_and_sizes(text: str, seconds: float, size: int) -> None:
    found = import_settings(f'[storage-proxy]\nsession-expire = "{text}"\nmax-upload-size = "1GiB"\n')
    assert found.tables["gateway"] == {"token_seconds": seconds, "max_upload_bytes": size}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("nonsense", "TOML"),
        ('[storage-proxy]\nmax-upload-size = "much"\n', "max-upload-size"),
        ('[storage-proxy]\nsession-expire = "soon"\n', "session-expire"),
        ('[api.client]\nservice-addr = "nowhere"\n', "service-addr"),
        ('[volume."a b"]\nbackend = "vfs"\n', "volume name"),
    ],
)
def test_what_makes_no_sense_is_told(text: str, word: str) -> None:
    with pytest.raises(InvalidRequestError, match=word):
        import_settings(text)


def test_tables_are_written_as_they_are_read() -> None:
    text = '[volume."a.b"]\nbackend = "vfs"\npath = "/with \\"quotes\\" and \\\\ and \\u0001"\n'
    found = import_settings(text)
    from ops.import_config import _toml

    read = tomllib.loads(_toml(found.tables))
    assert read["volumes"]["a.b"]["path"] == '/with "quotes" and \\ and \x01'

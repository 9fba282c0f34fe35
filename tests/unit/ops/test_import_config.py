"""Settings of Backend.AI's storage proxy, read and written in ours."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from domain.errors import InvalidRequestError
from domain.ids import VolumeName
from ops.cli import main
from ops.importing import Imported, read_settings, write_settings
from ops.settings import Settings, load_settings

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
scandir-limit = 2000
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
VOLUME = '\n[volume.disk]\nbackend = "vfs"\npath = "/srv/disk"\n'

Import = Callable[[str], Imported]


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    def read(text: str) -> Imported:
        source = tmp_path / "storage-proxy.toml"
        source.write_text(text)
        return read_settings([source])

    return read


def written(found: Imported, out: Path) -> Settings:
    write_settings(found, out)
    return load_settings(out)


def test_everything_is_taken_or_told(tmp_path: Path) -> None:
    source, out = tmp_path / "storage-proxy.toml", tmp_path / "penstock.toml"
    source.write_text(THEIRS)
    done = CliRunner().invoke(main, ["import-config", str(source), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    settings = load_settings(out)
    gateway = settings.gateway
    assert (gateway.processes, gateway.list_limit, gateway.max_upload_bytes) == (4, 2000, 100 << 30)
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
        "api.manager.ssl-cert",
        "volume.fast.one.backend",
        "volume.fast.one.fsprefix",
        "volume.fast.one.options.netapp_endpoint",
        "volume.fast.one.options.netapp_password",
    }
    assert leaves <= set(told["notes"])
    differ = {"volume.fast.one.backend", "storage-proxy.max-upload-size"}
    assert set(told["notes"]) & set(told["taken"]) == differ
    assert told["taken"]["api.client.service-addr"] == "gateway.client.host, gateway.client.port"


def test_what_people_are_told(tmp_path: Path) -> None:
    source, out = tmp_path / "storage-proxy.toml", tmp_path / "penstock.toml"
    source.write_text(THEIRS)
    done = CliRunner().invoke(main, ["import-config", str(source), "--out", str(out)])
    assert f"{tmp_path / 'penstock.secrets'} the secrets" in done.output
    assert "taken  storage-proxy.node-id -> backendai.source\n" in done.output
    assert "note   storage-proxy.pid-file: " in done.output


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ('"1d"', 86400),
        ('"90"', 90),
        ("90", 90),
        ("1.5", 1.5),
        ('"90s"', 90),
        ('"2.5m"', 150),
        ('"1.5h"', 5400),
        ('"1 h"', 3600),
        ('"2w"', 1209600),
        ('"1mo"', 30 * 86400),
        ('"12mo"', 360 * 86400),
        ('"1yr"', 365 * 86400),
        ('"2 yr"', 730 * 86400),
    ],
)
def test_durations(imported: Import, tmp_path: Path, text: str, seconds: float) -> None:
    found = imported(f"[storage-proxy]\nsession-expire = {text}\n{VOLUME}")
    assert written(found, tmp_path / "p.toml").gateway.token_seconds == seconds
    by_calendar = "yr" in text or "mo" in text
    assert ("calendar" in found.notes.get("storage-proxy.session-expire", "")) == by_calendar


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1GiB", 1 << 30),
        ("100g", 100 << 30),
        ("1.5t", 3 << 39),
        ("1_000 k", 1000 << 10),
        ("2 GiBytes", 2 << 30),
        ("1024", 1024),
        ("1z", (1 << 63) - 1),
        ("infinity", (1 << 63) - 1),
    ],
)
def test_sizes(imported: Import, tmp_path: Path, text: str, size: int) -> None:
    found = imported(f'[storage-proxy]\nmax-upload-size = "{text}"\n{VOLUME}')
    assert written(found, tmp_path / "p.toml").gateway.max_upload_bytes == size
    assert "a larger upload is refused" in found.notes["storage-proxy.max-upload-size"]


@pytest.mark.parametrize("text", ['"[::1]:7001"', '["::1", 7001]', '{ host = "::1", port = "7001" }'])
def test_addresses(imported: Import, tmp_path: Path, text: str) -> None:
    client = written(imported(f"[api.client]\nservice-addr = {text}\n{VOLUME}"), tmp_path / "p.toml").gateway.client
    assert (client.host, client.port) == ("::1", 7001)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("nonsense", "TOML"),
        ('[storage-proxy]\nmax-upload-size = "much"\n', "max-upload-size"),
        ('[storage-proxy]\nmax-upload-size = "-1g"\n', "max-upload-size"),
        ('[storage-proxy]\nsession-expire = "soon"\n', "session-expire"),
        ('[storage-proxy]\nsession-expire = "-1d"\n', "session-expire"),
        ('[storage-proxy]\nsession-expire = "1.5mo"\n', "session-expire"),
        ('[storage-proxy]\nsession-expire = "1e300d"\n', "session-expire"),
        ("[storage-proxy]\nsession-expire = nan\n", "session-expire"),
        ('[api.client]\nservice-addr = "nowhere"\n', "service-addr"),
        ('[api.client]\nservice-addr = "somewhere:70000"\n', "service-addr"),
        ("[api.client]\nservice-addr = [1]\n", "service-addr"),
        ('[api.client]\nssl-enabled = "perhaps"\n', "ssl-enabled"),
        ("[api.client]\nssl-enabled = true\nssl-cert = 1\n", "ssl-cert"),
        ("[storage-proxy]\nnode-id = 1\n", "node-id"),
    ],
)
def test_what_the_storage_proxy_would_not_take_either_is_told(imported: Import, text: str, word: str) -> None:
    with pytest.raises(InvalidRequestError, match=word):
        imported(text + VOLUME)


def test_without_a_number_there_is_a_process_for_every_core(
    imported: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    found = imported(VOLUME)
    gateway = written(found, tmp_path / "p.toml").gateway
    assert (gateway.processes, gateway.list_limit, gateway.max_upload_bytes) == (7, 1000, 100 << 30)
    assert "for every core" in found.notes["storage-proxy.num-proc"]
    assert "1000 there" in found.notes["storage-proxy.scandir-limit"]


def test_more_processes_than_there_can_be(imported: Import, tmp_path: Path) -> None:
    found = imported(f"[storage-proxy]\nnum-proc = 300\n{VOLUME}")
    assert written(found, tmp_path / "p.toml").gateway.processes == 256
    assert "256 is the most" in found.notes["storage-proxy.num-proc"]


def test_what_our_settings_do_not_take_is_told_and_left_out(imported: Import, tmp_path: Path) -> None:
    found = imported(
        '[storage-proxy]\nnode-id = ""\nnum-proc = 0\nscandir-limit = -1\n'
        'session-expire = 0\nmax-upload-size = "0"\n'
        f'[logging]\nlevel = "LOUD"\n{VOLUME}'
    )
    settings = written(found, tmp_path / "p.toml")
    refused = ("node-id", "num-proc", "scandir-limit", "session-expire", "max-upload-size")
    for key in (*(f"storage-proxy.{name}" for name in refused), "logging.level"):
        assert "not taken into" in found.notes[key]
        assert key not in found.taken
    assert (settings.backendai.source, settings.log.level, settings.gateway.processes) == ("penstock", "INFO", 1)


def test_certificates_count_where_tls_is_on(imported: Import, tmp_path: Path) -> None:
    found = imported(
        '[api.client]\nssl-enabled = "yes"\n'
        f'[api.manager]\nssl-enabled = true\nssl-privkey = "key.pem"\n'
        f'[logging.logstash]\nssl-enabled = true\nendpoint = {{ host = "logs", port = 5044 }}\n{VOLUME}'
    )
    gateway = written(found, tmp_path / "p.toml").gateway
    assert (gateway.client.tls_certificate, gateway.manager.tls_key) == (None, None)
    assert "plain HTTP" in found.notes["api.client.ssl-enabled"]
    assert "plain HTTP" in found.notes["api.manager.ssl-enabled"]
    assert "no certificate" in found.notes["api.manager.ssl-privkey"]
    assert {"logging.logstash.ssl-enabled", "logging.logstash.endpoint"} <= found.notes.keys()


def test_paths_are_beside_the_file_they_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, more, elsewhere = tmp_path / "proxy", tmp_path / "more", tmp_path / "elsewhere"
    for directory in (proxy, more, elsewhere):
        directory.mkdir()
    (proxy / "storage-proxy.toml").write_text(
        '[api.manager]\nssl-enabled = true\nssl-cert = "ssl/c.pem"\nssl-privkey = "ssl/k.pem"\n'
        '[volume.near]\nbackend = "vfs"\npath = "vfolder/near"\n'
    )
    (more / "volume.toml").write_text(
        '[volume.there]\nbackend = "xfs"\npath = "disk"\n[volume.whole]\nbackend = "vfs"\npath = "/srv/whole"\n'
    )
    monkeypatch.chdir(proxy)
    arguments = ["import-config", "storage-proxy.toml", "../more/volume.toml", "--out", str(elsewhere / "p.toml")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    monkeypatch.chdir("/")
    settings = load_settings(elsewhere / "p.toml")
    assert settings.gateway.manager.tls_certificate == proxy / "ssl/c.pem"
    assert settings.gateway.manager.tls_key == proxy / "ssl/k.pem"
    assert {name: volume.options["path"] for name, volume in settings.volumes.items()} == {
        "near": str(proxy / "vfolder/near"),
        "there": str(more / "disk"),
        "whole": "/srv/whole",
    }


def test_a_volume_that_stands_twice(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text(f'[volume.disk]\nbackend = "vfs"\npath = "/srv/{name}"\n')
    found = read_settings([tmp_path / "a.toml", tmp_path / "b.toml"])
    assert "the last one counts" in found.notes["volume.disk"]
    assert written(found, tmp_path / "p.toml").volumes[VolumeName("disk")].options == {"path": "/srv/b"}


def test_nothing_there_is_written_over(tmp_path: Path) -> None:
    source, out = tmp_path / "storage-proxy.toml", tmp_path / "penstock.toml"
    source.write_text(THEIRS)
    (tmp_path / "penstock.secrets").write_text("MINE=1\n")
    again = CliRunner().invoke(main, ["import-config", str(source), "--out", str(out)])
    assert again.exit_code == 1
    assert "is there already" in again.output
    assert not out.exists()
    assert (tmp_path / "penstock.secrets").read_text() == "MINE=1\n"


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    source = tmp_path / "storage-proxy.toml"
    source.write_text(THEIRS)
    done = CliRunner().invoke(main, ["import-config", str(source), "--out", str(tmp_path / "no" / "p.toml")])
    assert done.exit_code == 1
    assert "cannot be written: No such file or directory" in done.output

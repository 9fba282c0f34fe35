"""Whatever is imported from a storage proxy, our own settings read it, or it is told that nothing was written."""

from __future__ import annotations

import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from backends.registry import driver, drivers
from domain.errors import InvalidRequestError
from ops.cli import main
from ops.importing import Imported, read_settings, write_settings
from ops.importing.toml import quoted, table, text_of
from ops.importing.volumes import DRIVERS
from ops.settings import Settings, load_settings

#: Every driver storage proxy 26.3.2 knows by itself; True: one that sets limits on its storage.
THEIRS = {
    "vfs": False,
    "xfs": True,
    "purestorage": False,
    "netapp": True,
    "dellemc-onefs": True,
    "weka": True,
    "gpfs": True,
    "spectrumscale": True,
    "cephfs": True,
    "vast": True,
    "exascaler": True,
    "hammerspace": True,
    "hammerspace-base": False,
}
SMALL = """
[etcd]
namespace = "local"
addr = { host = "127.0.0.1", port = 2379 }
user = ""
password = ""
[storage-proxy]
node-id = "i-local"
num-proc = 2
event-loop = "uvloop"
scandir-limit = 1000
max-upload-size = "100g"
secret = "a-secret-that-is-for-the-storage-proxy-only"
session-expire = "1d"
use-watcher = false
[api.client]
service-addr = { host = "0.0.0.0", port = 6021 }
ssl-enabled = false
[api.manager]
service-addr = { host = "0.0.0.0", port = 6022 }
ssl-enabled = false
secret = "a-secret-the-manager-has-as-well"
[pyroscope]
enabled = true
app-name = "storage-proxy"
server-addr = "http://localhost:4040"
sample-rate = 100
[debug]
enabled = false
asyncio = false
log-events = true
[logging]
level = "INFO"
drivers = ["console"]
[logging.pkg-ns]
"" = "WARNING"
"ai.backend" = "INFO"
[logging.console]
colored = true
format = "verbose"
[volume]
[volume.volume1]
backend = "vfs"
path = "vfolder/local/volume1"
"""
LARGE = """
[storage-proxy]
node-id = "i-storage-01"
secret = "a-secret-that-is-for-the-storage-proxy-only"
session-expire = "1mo"
[api.client]
service-addr = { host = "0.0.0.0", port = 6021 }
ssl-enabled = false
[api.manager]
service-addr = { host = "127.0.0.1", port = 6022 }
ssl-enabled = true
ssl-cert = "ssl/manager.cert.pem"
ssl-privkey = "ssl/manager.key.pem"
secret = "a-secret-the-manager-has-as-well"
[volume.local]
backend = "vfs"
path = "/vfroot/vfs"
[volume.fastlocal]
backend = "xfs"
path = "/vfroot/xfs"
[volume.mypure]
backend = "purestorage"
path = "/vfroot/fb1"
[volume.mypure.options]
purity_endpoint = "https://pure01.example.com"
purity_ssl_verify = false
[volume.myceph]
backend = "cephfs"
path = "/mnt/vfroot/ceph-fuse"
[volume.netapp]
backend = "netapp"
path = "/vfroot/netapp"
[volume.weka]
backend = "weka"
path = "/vfroot/weka"
[volume.weka.options]
weka_endpoint = "https://weka.example.com"
"""


def read(folder: Path, text: str) -> Imported:
    source = folder / "storage-proxy.toml"
    source.write_text(text, encoding="utf-8")
    return read_settings([source])


def loaded(folder: Path, text: str) -> tuple[Imported, Settings]:
    """Import a text; what was written is held against our settings, and each volume against its driver's."""
    found = read(folder, text)
    write_settings(found, folder / "penstock.toml")
    settings = load_settings(folder / "penstock.toml")
    for volume in settings.volumes.values():
        driver(volume.backend).settings.model_validate(volume.options)
    return found, settings


@pytest.mark.parametrize("text", [SMALL, LARGE])
def test_samples(tmp_path: Path, text: str) -> None:
    _, settings = loaded(tmp_path, text)
    assert list(settings.volumes) == list(tomllib.loads(text)["volume"])
    assert settings.gateway.token_secret.get_secret_value() == "a-secret-that-is-for-the-storage-proxy-only"


def test_every_driver_of_theirs_is_known() -> None:
    assert set(DRIVERS) == set(THEIRS)
    assert drivers() == ["vfs"], "what is told of their drivers speaks of one of ours"


@pytest.mark.parametrize("name", THEIRS)
def test_every_driver_is_served_where_it_is_mounted(tmp_path: Path, name: str) -> None:
    found, settings = loaded(tmp_path, f'[volume.fast]\nbackend = "{name}"\npath = "/mnt/fast"\n')
    assert {key: (volume.backend, volume.options) for key, volume in settings.volumes.items()} == {
        "fast": ("vfs", {"path": "/mnt/fast"})
    }
    told = found.notes.get("volume.fast.backend", "")
    assert (f"{name} is served as what is mounted" in told) == (name != "vfs")
    assert ("limits it has set" in told and "are not carried over" in told) == THEIRS[name]
    assert ("shares have to be mounted" in told) == (name == "hammerspace")


@pytest.mark.parametrize(
    ("volume", "key", "why", "comment"),
    [
        (
            '[volume.odd]\nbackend = "noop"\npath = "disk"\n',
            "volume.odd.backend",
            'there is no driver "noop"',
            '# [volumes.odd]\n# backend = "noop"\n# path = "{base}/disk"\n',
        ),
        (
            '[volume."a b"]\nbackend = "xfs"\npath = "/srv/odd"\n',
            'volume."a b"',
            "its name does not fit",
            '# [volumes."a b"]\n# backend = "vfs"\n# path = "/srv/odd"\n',
        ),
        (
            '[volume."x\\ny"]\nbackend = "x\\u0000\\ny"\npath = "/srv\\n/odd"\n',
            'volume."x\\u000ay".backend',
            'there is no driver "x\\u0000\\u000ay"',
            '# [volumes."x\\u000ay"]\n# backend = "x\\u0000\\u000ay"\n# path = "/srv\\u000a/odd"\n',
        ),
        (
            '[volume.odd]\npath = "/srv/odd"\n',
            "volume.odd.backend",
            "it names no driver",
            '# [volumes.odd]\n# backend = ""\n# path = "/srv/odd"\n',
        ),
        (
            '[volume.odd]\nbackend = "vfs"\n',
            "volume.odd.path",
            "it has no path",
            '# [volumes.odd]\n# backend = "vfs"\n',
        ),
        ("[volume]\nodd = 1\n", "volume.odd", "it is no table", '# [volumes.odd]\n# backend = ""\n'),
    ],
)
def test_a_volume_that_cannot_be_served_becomes_a_comment(
    tmp_path: Path, volume: str, key: str, why: str, comment: str
) -> None:
    found, settings = loaded(tmp_path, f'{volume}[volume.disk]\nbackend = "vfs"\npath = "/srv/disk"\n')
    assert list(settings.volumes) == ["disk"]
    assert f"the volume was left out: {why}" in found.notes[key]
    text = (tmp_path / "penstock.toml").read_text()
    assert comment.format(base=tmp_path) in text
    assert text.count("# This volume was left out: ") == 1
    assert why in text
    assert not any(theirs.startswith(key) for theirs in found.taken)


def test_a_table_of_volumes_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidRequestError, match="nothing was written: Penstock needs a volume, and volume: must be"
    ):
        read(tmp_path, "volume = 1\n")


def test_without_any_volume_nothing_is_written(tmp_path: Path) -> None:
    source, out = tmp_path / "storage-proxy.toml", tmp_path / "penstock.toml"
    source.write_text(
        '[volume.fast]\nbackend = "mine"\npath = "/x"\n[volume.".dot"]\nbackend = "vfs"\npath = "/d"\n'
    )
    done = CliRunner().invoke(main, ["import-config", str(source), "--out", str(out)])
    assert done.exit_code == 1
    assert "nothing was written" in done.output
    assert 'volume.fast.backend: the volume was left out: there is no driver "mine"' in done.output
    assert "volume..dot: the volume was left out: its name does not fit" in done.output
    assert list(tmp_path.iterdir()) == [source]


# What follows is mostly what the storage proxy takes, whether we do or not; what it refuses ends an import at once.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = st.one_of(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True), TEXTS)
NUMBERS = st.integers(-3, 1 << 70)
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans(), st.floats())
VOLUMES = st.fixed_dictionaries(
    {
        "backend": st.one_of(st.sampled_from([*THEIRS, "noop", "VFS", ""]), SCALARS),
        "path": st.one_of(st.sampled_from(["/srv/disk", "disk", "", "../x", "~/x"]), TEXTS),
    },
    optional={"fsprefix": TEXTS, "more": SCALARS},
)
SERVED = {"disk": {"backend": "vfs", "path": "/srv/disk"}}
SPANS = st.builds("{}{}".format, st.integers(0, 9999), st.sampled_from(["", "s", "m", "h", "d", "w", "mo", "yr"]))
SIZES = st.builds("{}{}".format, st.integers(0, 1 << 70), st.sampled_from(["", *"kmgtpezy"]))
PROXIES = st.fixed_dictionaries(
    {},
    optional={
        "node-id": TEXTS,
        "num-proc": NUMBERS,
        "scandir-limit": NUMBERS,
        "max-upload-size": SIZES,
        "session-expire": SPANS,
        "secret": TEXTS,
    },
)
APIS = st.fixed_dictionaries(
    {},
    optional={
        "service-addr": st.builds("{}:{}".format, TEXTS, st.integers(1, 65535)),
        "ssl-enabled": st.booleans(),
        "ssl-cert": TEXTS,
        "ssl-privkey": TEXTS,
        "secret": TEXTS,
    },
)


@given(
    volumes=st.builds(
        dict.__or__, st.dictionaries(NAMES, VOLUMES, max_size=4), st.sampled_from([SERVED, SERVED, {}])
    ),
    proxy=PROXIES,
    client=APIS,
    manager=APIS,
    level=st.one_of(st.sampled_from(["NOTSET", "critical", "Warning", "TRACE"]), TEXTS),
)
def test_whatever_is_read(
    volumes: dict[str, dict[str, Any]],
    proxy: dict[str, Any],
    client: dict[str, Any],
    manager: dict[str, Any],
    level: str,
) -> None:
    tables = {
        ("storage-proxy",): proxy,
        ("api", "client"): client,
        ("api", "manager"): manager,
        ("logging",): {"level": level},
        **{("volume", name): options for name, options in volumes.items()},
    }
    text = "\n".join(table(names, values) for names, values in tables.items())
    refusal = ""
    with TemporaryDirectory() as name:
        folder = Path(name)
        try:
            found, settings = loaded(folder, text)
        except InvalidRequestError as error:
            refusal = error.message
        written = {path.name for path in folder.iterdir()} - {"storage-proxy.toml"}
    if refusal:
        assert (refusal.startswith("nothing was written: "), written) == (True, set())
    else:
        assert set(settings.volumes) | {volume.name for volume in found.left_out} == set(volumes)


@given(
    values=st.dictionaries(TEXTS, st.one_of(TEXTS, st.integers(-(1 << 63), (1 << 63) - 1), st.booleans())),
    name=NAMES,
)
def test_tables_are_written_as_they_are_read(values: dict[str, Any], name: str) -> None:
    assert tomllib.loads(table(("a", name), values)) == {"a": {name: values}}


@given(text=TEXTS, number=st.floats(allow_nan=False))
def test_values_are_written_on_one_line(text: str, number: float) -> None:
    assert len(quoted(text).splitlines()) == 1
    assert tomllib.loads(f"x = {text_of(number)}") == {"x": number}

"""One data directory, served by Backend.AI's storage proxy, then by us, then by it again.

Needs etcd, and a Python 3.13 with `backend.ai-storage-proxy` 26.3, so it is run by hand:
`make peers PEER_PYTHON=/path/to/venv/bin/python`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness.processes import FOLDER, PLACE, SCOPE, SECRET, TOKEN_SECRET, Api, Site, answers, ask, open_site, until
from harness.redis_server import RedisServer, debian_redis, free_port

pytestmark = pytest.mark.timeout(300)

OTHER = f"{SCOPE}/aabb0002-0000-4000-8000-000000000002"
FILES = {"a": b"a", "d/한글 b.bin": os.urandom(3 << 20), "d/e/c": b"", "x y/+%&": b"signs", "gone": b"soon"}

_SETTINGS = """
[etcd]
namespace = "local"
addr = {{ host = "127.0.0.1", port = {etcd} }}
[storage-proxy]
node-id = "i-peer"
num-proc = 1
pid-file = "{folder}/proxy.pid"
ipc-base-path = "{folder}"
event-loop = "asyncio"
scandir-limit = 1000
max-upload-size = "100g"
secret = "{token_secret}"
session-expire = "1d"
[api.client]
service-addr = {{ host = "127.0.0.1", port = {client} }}
ssl-enabled = false
[api.manager]
service-addr = {{ host = "127.0.0.1", port = {manager} }}
announce-addr = {{ host = "127.0.0.1", port = {manager} }}
internal-addr = {{ host = "127.0.0.1", port = {internal} }}
announce-internal-addr = {{ host = "127.0.0.1", port = {internal} }}
ssl-enabled = false
secret = "{secret}"
[volume.disk]
backend = "vfs"
path = "{volume}"
[logging]
level = "INFO"
drivers = ["console"]
[logging.console]
colored = false
format = "simple"
[debug]
enabled = false
"""


@contextmanager
def program(folder: Path, name: str, *command: str | Path) -> Iterator[None]:
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, cwd=folder)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def their_proxy(folder: Path, volume: Path) -> Iterator[Api]:
    """Backend.AI's storage proxy on a directory, with an etcd and a Redis of its own."""
    folder.mkdir()
    etcd, peers, internal = free_port(), free_port(), free_port()
    api = Api(free_port(), free_port())
    settings = folder / "storage-proxy.toml"
    values = {"etcd": etcd, "client": api.client_port, "manager": api.manager_port, "internal": internal}
    secrets = {"secret": SECRET, "token_secret": TOKEN_SECRET}
    settings.write_text(_SETTINGS.format(folder=folder, volume=volume, **values, **secrets))
    url, peer_url = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peers}"
    listening = ["--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls", peer_url]
    python = os.environ["PEER_PYTHON"]
    server = RedisServer(debian_redis(), folder)
    server.start()
    try:
        with program(folder, "etcd", "etcd", "--data-dir", folder / "etcd", *listening):
            until(lambda: answers(etcd, "/health"), "etcd answers")
            script = Path(__file__).with_name("backendai_settings.py")
            subprocess.run([python, script, str(etcd), f"127.0.0.1:{server.port}"], check=True, timeout=30)
            with program(folder, "proxy", python, "-m", "ai.backend.storage.server", "-f", settings):
                until(lambda: answers(api.manager_port, "/"), "their proxy answers", 60)
                yield api
    finally:
        server.stop()


def done(api: Api, route: str, vfid: str = FOLDER, method: str = "POST", **body: Any) -> Any:
    answer = api.manager(method, route, {"volume": "disk", "vfid": vfid, **body})
    assert answer.status < 300, (route, answer.status, answer.body)
    return answer.json if answer.body else None


def told(api: Api, directory: str = ".") -> dict[str, Any]:
    """All there is in the folder, as it is told: entries with their stat, and the bytes of files."""
    found: dict[str, Any] = {}
    for item in done(api, "/folder/file/list", relpath=directory)["items"]:
        path = item["name"] if directory == "." else f"{directory}/{item['name']}"
        for when in ("created", "modified"):
            item["stat"][when] = item["stat"][when][:23]  # they make a float of it first, good to the microsecond
        found[path] = item
        if item["type"] == "DIRECTORY":
            found |= told(api, path)
        else:
            answer = ask(api.client_port, "GET", api.download_url(path))
            found[f"{path}: bytes"] = (answer.status, answer.body)
    return found


def different(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What one tells otherwise than the other; easier to read than all that both tell."""
    names = ours.keys() | theirs.keys()
    return {name: (ours.get(name), theirs.get(name)) for name in names if ours.get(name) != theirs.get(name)}


def counted(api: Api) -> Any:
    return done(api, "/folder/usage", method="GET")


def write_by_theirs(theirs: Api, folder: Path) -> tuple[str, str]:
    """Everything they can make; returns the tokens of an upload that is half done and of one that has not begun."""
    scope = theirs.manager(
        "POST", "/quota-scope", {"volume": "disk", "qsid": SCOPE, "options": {"limit_bytes": 1 << 30}}
    )
    assert scope.status == 204
    for vfid in (FOLDER, OTHER):
        done(theirs, "/folder/create", vfid)
    done(theirs, "/folder/file/mkdir", relpath=["made/here", "empty"])
    for name, data in FILES.items():
        token = theirs.upload_token(name, len(data))
        assert theirs.patch(token, 0, data).status == 204
    (folder / "link").symlink_to("d/e/c")
    half, later = theirs.upload_token("half", 10), theirs.upload_token("later", 3)
    assert theirs.patch(half, 0, b"01234").status == 204
    return half, later


def change_by_ours(ours: Api, half: str, later: str) -> None:
    """Go on with what they began, and change what they made."""
    assert ours.offset(half) == 5
    assert ours.patch(half, 5, b"56789").status == 204
    assert ours.patch(later, 0, b"abc").status == 204
    ours.upload("d/new", b"ours")
    done(ours, "/folder/file/rename", relpath="a", new_name="a.renamed")
    done(ours, "/folder/file/move", src_relpath="x y/+%&", dst_relpath="made/here")
    done(ours, "/folder/file/delete", relpaths=["gone"])
    done(ours, "/folder/file/mkdir", relpath="ours/deep")


def test_a_data_directory_goes_from_them_to_us_and_back(tmp_path: Path) -> None:
    with open_site(tmp_path) as site:
        with their_proxy(tmp_path / "before", site.volume) as theirs:
            half, later = write_by_theirs(theirs, site.folder)
            before, usage = told(theirs), counted(theirs)
        for role in ("actor", "worker", "gateway"):
            site.start(role)
        assert different(told(site.api), before) == {}
        assert counted(site.api) == usage
        change_by_ours(site.api, half, later)
        delete_by_ours(site)
        after, usage = told(site.api), counted(site.api)
        for started in reversed(site.running):
            assert started.stop() == 0
        with their_proxy(tmp_path / "after", site.volume) as theirs:
            assert different(told(theirs), after) == {}
            assert counted(theirs) == usage
            done(theirs, "/folder/file/delete", relpaths=["d"], recursive=True)
            assert "d" not in told(theirs)


def delete_by_ours(site: Site) -> None:
    """A folder they made is cloned and deleted like any other."""
    clone = OTHER.replace("aabb0002", "aabb0003")
    body = {"src_volume": "disk", "src_vfid": FOLDER, "dst_volume": "disk", "dst_vfid": clone}
    answer = site.api.manager("POST", "/folder/clone", body)
    assert answer.status == 200, answer.body
    copied = site.volume / PLACE.replace("bb/0001", "bb/0003").replace("0000000001", "0000000002")
    until(copied.is_dir, "the clone is there")
    assert {path.name for path in copied.iterdir()} == {path.name for path in site.folder.iterdir()}
    for vfid in (OTHER, clone):
        assert site.api.manager("POST", "/folder/delete", {"volume": "disk", "vfid": vfid}).status == 202
    until(lambda: not copied.exists(), "the clone is gone")

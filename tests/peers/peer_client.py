"""Files moved by Backend.AI's own client.

It asks its manager for tokens, and the storage proxy, whose place we have, for the bytes. In the manager's place is
a server of a few lines that hands on what it is asked. Needs a Python with `backend.ai-client` (23.9 with yarl 1.9
for Python 3.11, 26 for 3.13), so it is run by hand: `make peers PEER_PYTHON=/path/to/venv/bin/python`.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from harness.processes import FOLDER, Api, Site, open_site

pytestmark = pytest.mark.timeout(180)

BIG = os.urandom(5 << 20)


class Manager(BaseHTTPRequestHandler):
    """What a manager does of a folder's files: it asks the storage proxy, in its own words."""

    protocol_version = "HTTP/1.1"
    api: ClassVar[Api]

    def do_GET(self) -> None:
        path, query = self._target()
        if path.endswith("/files"):
            said = query.get("path") or [self._body()["path"]]  # older ones send a body with a GET
            self._ask("/folder/file/list", {"relpath": said[0]})
        else:
            self._answer(200, {"version": "v8.20240315", "manager": "24.03.0"})

    def do_POST(self) -> None:
        said = self._body()
        match self._target()[0].rpartition("/")[2]:
            case "request-upload":
                self._ask("/folder/file/upload", {"relpath": said["path"], "size": said["size"]}, url="/upload")
            case "request-download":
                self._ask("/folder/file/download", {"relpath": said["path"]}, url="/download")
            case "mkdir":
                known = {name: said[name] for name in ("parents", "exist_ok") if said.get(name) is not None}
                self._ask("/folder/file/mkdir", {"relpath": said["path"], **known})
            case "rename-file":
                self._ask("/folder/file/rename", {"relpath": said["target_path"], "new_name": said["new_name"]})
            case "move-file":
                self._ask("/folder/file/move", {"src_relpath": said["src"], "dst_relpath": said["dst"]})
            case _:
                self._answer(404, {})

    def do_DELETE(self) -> None:
        said = self._body()
        self._ask("/folder/file/delete", {"relpaths": said["files"], "recursive": said["recursive"]})

    def _target(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        return parts.path, parse_qs(parts.query)

    def _body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return found

    def _ask(self, route: str, body: dict[str, Any], url: str = "") -> None:
        answer = self.api.manager("POST", route, {"volume": "disk", "vfid": FOLDER, **body})
        said = answer.json if answer.body else {}
        self._answer(200 if answer.status == 204 else answer.status, said | self._place(url))

    def _place(self, url: str) -> dict[str, str]:
        return {"url": f"{self.api.client_url}{url}"} if url else {}

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as found:
        for role in ("actor", "worker", "gateway"):
            found.start(role)
        found.api.make_folder()
        yield found


@pytest.fixture
def manager(site: Site) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Manager,), {"api": site.api}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_their_client_moves_files_as_ever(site: Site, manager: str, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "data" / "empty directory").mkdir(parents=True)
    (target / "data").mkdir(parents=True)
    (source / "data" / "big").write_bytes(BIG)
    (source / "data" / "small").write_bytes(b"small")
    (source / "one").write_bytes(b"one")
    script = Path(__file__).with_name("backendai_client.py")
    words = [os.environ["PEER_PYTHON"], str(script), manager, FOLDER.rpartition("/")[2], str(source), str(target)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {
        "before": ["below", "data", "made", "one"],
        "after": ["data", "made", "one"],
        "made": ["moved"],
    }
    assert (site.folder / "data" / "big").read_bytes() == BIG
    assert (site.folder / "data" / "empty directory").is_dir()
    assert (site.folder / "made" / "here" / "moved").read_bytes() == b"small"
    assert (site.folder / "one").read_bytes() == b"one"
    assert (target / "data" / "big").read_bytes() == BIG
    assert (target / "one").read_bytes() == b"one"

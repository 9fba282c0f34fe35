"""TLS on both ports, and certificates of clients."""

from __future__ import annotations

import json
import os
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest
import trustme
from harness.processes import FOLDER, SECRET, Site, open_site

pytestmark = pytest.mark.timeout(120)


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, path: Path) -> None:
        self._authority = trustme.CA()
        self.ca, self.server, self.client = path / "ca.pem", path / "server.pem", path / "client.pem"
        self._authority.cert_pem.write_to_path(self.ca)
        self._authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(self.server)
        self._authority.issue_cert("manager@example.org").private_key_and_cert_chain_pem.write_to_path(self.client)

    def context(self, *, as_manager: bool) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        if as_manager:
            context.load_cert_chain(self.client)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def site(tmp_path: Path, authority: Authority) -> Iterator[Site]:
    with open_site(
        tmp_path,
        gateway__client__tls_certificate=str(authority.server),
        gateway__manager__tls_certificate=str(authority.server),
        gateway__manager__tls_client_ca=str(authority.ca),
    ) as found:
        found.start("actor")
        found.start("gateway")
        yield found


def ask(context: ssl.SSLContext, port: int, method: str, target: str, data: bytes = b"", **fields: str) -> bytes:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    request = urllib.request.Request(f"https://127.0.0.1:{port}{target}", data or None, headers, method=method)
    with urllib.request.urlopen(request, timeout=30, context=context) as answer:
        return bytes(answer.read())


def test_a_file_goes_there_and_back(site: Site, authority: Authority) -> None:
    context = authority.context(as_manager=True)

    def manage(route: str, **body: object) -> bytes:
        told = json.dumps({"volume": "disk", "vfid": FOLDER, **body}).encode()
        secret = {"X_BackendAI_Storage_Auth_Token": SECRET}
        return ask(context, site.api.manager_port, "POST", route, told, **secret)

    manage("/folder/create")
    data = os.urandom(20_000_000)
    upload = json.loads(manage("/folder/file/upload", relpath="a", size=len(data)))["token"]
    plain = authority.context(as_manager=False)
    fields = {"Tus_Resumable": "1.0.0", "Upload_Offset": "0", "Content_Type": "application/offset+octet-stream"}
    ask(plain, site.api.client_port, "PATCH", f"/upload?token={upload}", data, **fields)
    assert (site.folder / "a").read_bytes() == data
    download = json.loads(manage("/folder/file/download", relpath="a"))["token"]
    assert ask(plain, site.api.client_port, "GET", f"/download?token={download}") == data


def test_without_a_certificate_nobody_is_the_manager(site: Site, authority: Authority) -> None:
    with pytest.raises((URLError, ssl.SSLError, ConnectionError)):
        ask(authority.context(as_manager=False), site.api.manager_port, "GET", "/")
    assert ask(authority.context(as_manager=True), site.api.manager_port, "GET", "/")


def test_plain_http_is_not_spoken(site: Site) -> None:
    with pytest.raises((URLError, ConnectionError)):
        urllib.request.urlopen(f"http://127.0.0.1:{site.api.client_port}/", timeout=10)


def test_a_missing_certificate_is_told(tmp_path: Path) -> None:
    with open_site(tmp_path, gateway__client__tls_certificate=str(tmp_path / "nowhere.pem")) as site:
        done = site.penstock("gateway")
        assert done.returncode != 0
        assert "TLS of port" in done.stderr
        assert "Traceback" not in done.stderr

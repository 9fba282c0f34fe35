"""Uploads and the gateway's death: every byte that was acknowledged is there, every file's event once."""

from __future__ import annotations

import hashlib
import http.client
import random
import threading
import time
from contextlib import suppress

import pytest
from harness.processes import Api, Role, Site, ask, until

MIB = 1 << 20


def resume(api: Api, token: str, data: bytes) -> None:
    """Finish an upload from where it is, as a client does."""
    offset = api.offset(token)
    if offset < len(data):
        answer = api.patch(token, offset, data[offset:])
        assert answer.status == 204, answer.body


def check_whole(site: Site, name: str, data: bytes) -> None:
    assert hashlib.sha256((site.folder / name).read_bytes()).digest() == hashlib.sha256(data).digest()
    told = [event for event in site.events("file.uploaded") if event.body["path"] == name]
    assert len(told) == 1
    assert told[0].body["size_bytes"] == len(data)


@pytest.mark.timeout(120)
def test_a_gateway_killed_in_the_middle(site: Site) -> None:
    data = random.Random(1).randbytes(48 * MIB)
    gateway = site.running[-1]
    token = site.api.upload_token("big.bin", len(data))
    kept = 0
    for _ in range(3):
        sent = threading.Event()
        rest = data[kept:]
        sender = threading.Thread(target=send_from, args=(site.api, token, kept, rest, sent))
        sender.start()
        assert sent.wait(30)
        gateway.kill()
        sender.join(30)
        gateway = site.start("gateway")
        now = site.api.offset(token)
        assert kept <= now < len(data)
        kept = now
    assert kept > 0
    resume(site.api, token, data)
    check_whole(site, "big.bin", data)
    assert not (site.folder / ".upload").exists()


def send_from(api: Api, token: str, offset: int, rest: bytes, sent: threading.Event) -> None:
    """Send the rest of an upload in pieces until the connection breaks; `sent` is set after a third of it."""
    connection = http.client.HTTPConnection("127.0.0.1", api.client_port, timeout=30)
    try:
        connection.putrequest("PATCH", f"/upload?token={token}")
        connection.putheader("Upload-Offset", str(offset))
        connection.putheader("Tus-Resumable", "1.0.0")
        connection.putheader("Content-Type", "application/offset+octet-stream")
        connection.putheader("Content-Length", str(len(rest)))
        connection.endheaders()
        for start in range(0, len(rest), MIB):
            connection.send(rest[start : start + MIB])
            if start >= len(rest) // 3:
                sent.set()
            time.sleep(0.02)
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        pass  # the gateway is dead: that is what this is about
    finally:
        sent.set()
        connection.close()


@pytest.mark.timeout(180)
def test_a_gateway_killed_around_the_commit(site: Site) -> None:
    """The last bytes are sent and the gateway dies a random moment later."""
    moments = random.Random(2)
    gateway: Role = site.running[-1]
    files = {}
    for number in range(8):
        name, data = f"f{number}", moments.randbytes(2 * MIB)
        token = site.api.upload_token(name, len(data))
        assert site.api.patch(token, 0, data[:MIB]).status == 204
        sender = threading.Thread(target=last_part, args=(site.api, token, data))
        sender.start()
        time.sleep(moments.uniform(0, 0.03))
        gateway.kill()
        sender.join(30)
        gateway = site.start("gateway")
        files[name] = (token, data)
    for name, (token, data) in files.items():
        resume(site.api, token, data)
        check_whole(site, name, data)
    assert len(site.events("file.uploaded")) == len(files)
    assert not (site.folder / ".upload").exists()


def last_part(api: Api, token: str, data: bytes) -> None:
    with suppress(OSError, http.client.HTTPException):  # the gateway is dead: that is what this is about
        api.patch(token, MIB, data[MIB:])


def test_an_empty_file_is_there(site: Site) -> None:
    site.api.upload("empty", b"")
    assert (site.folder / "empty").read_bytes() == b""
    assert len(until(lambda: site.events("file.uploaded"), "the event")) == 1


def test_two_gateways_and_one_upload(site: Site) -> None:
    """What one gateway stored, another goes on with."""
    data = random.Random(3).randbytes(4 * MIB)
    token = site.api.upload_token("two.bin", len(data))
    assert site.api.patch(token, 0, data[: 2 * MIB]).status == 204
    first = site.running[-1]
    second = site.start("gateway")
    assert first.stop() == 0
    assert second.process.poll() is None
    resume(site.api, token, data)
    check_whole(site, "two.bin", data)
    assert ask(site.api.client_port, "GET", site.api.download_url("two.bin")).body == data

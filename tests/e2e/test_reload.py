"""Settings that are changed while everything runs."""

from __future__ import annotations

import hashlib
import http.client
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from harness.processes import FOLDER, SECRET, Site, ask, is_ready, open_site, until

pytestmark = pytest.mark.timeout(120)

NEW_SECRET = "another-secret-of-the-manager-0123456789"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as found:
        for role in ("actor", "worker", "gateway"):
            found.start(role)
        found.api.make_folder()
        yield found


@contextmanager
def busy(site: Site) -> Iterator[list[str]]:
    """Somebody who uploads and downloads all the while; tells what went wrong."""
    over, wrong = threading.Event(), list[str]()
    done = [0]

    def work() -> None:
        while not over.is_set():
            try:
                data = os.urandom(2000)
                site.api.upload(f"small{done[0]}", data)
                got = ask(site.api.client_port, "GET", site.api.download_url(f"small{done[0]}"))
                if got.body != data:
                    wrong.append(f"{got.status}: {got.body[:200]!r}")
                done[0] += 1
            except (OSError, AssertionError, http.client.HTTPException, KeyError) as error:
                wrong.append(repr(error))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        until(lambda: done[0] > 5, "it works")
        before = done[0]
        yield wrong
        until(lambda: done[0] > before + 5, "it still works")
    finally:
        over.set()
        thread.join()


def accepts(site: Site, secret: str) -> bool:
    return (
        ask(site.api.manager_port, "GET", "/volumes", headers={"X-BackendAI-Storage-Auth-Token": secret}).status
        == 200
    )


def test_a_new_secret_holds_without_an_interruption(site: Site) -> None:
    (site.folder / "big").write_bytes(os.urandom(1 << 20) * 64)
    with closing(http.client.HTTPConnection("127.0.0.1", site.api.client_port, timeout=30)) as connection:
        connection.request("GET", site.api.download_url("big"))
        with connection.getresponse() as answer:
            digest = hashlib.sha256(answer.read(1 << 20))
            change_the_secret(site)
            while data := answer.read(1 << 20):
                digest.update(data)
    assert digest.hexdigest() == hashlib.sha256((site.folder / "big").read_bytes()).hexdigest()
    assert {event.volume for event in site.events("config.changed")} == {"disk"}


def change_the_secret(site: Site) -> None:
    assert not accepts(site, NEW_SECRET)
    with busy(site) as wrong:
        site.write_settings(gateway__manager_secret=NEW_SECRET, gateway__manager_secrets_old=[SECRET])
        told = site.penstock("reload")
        assert told.returncode == 0, told.stderr
        until(lambda: accepts(site, NEW_SECRET), "the new secret holds")
        assert accepts(site, SECRET)
        for role in ("gateway", "actor", "worker"):
            until(lambda role=role: "works with new settings" in site.log(role), f"{role} has them")
    assert wrong == []


def test_a_volume_is_added(site: Site) -> None:
    place = site.path / "volumes" / "shelf"
    place.mkdir()
    site.write_settings(volumes__shelf__backend="vfs", volumes__shelf__path=str(place))
    assert site.penstock("reload").returncode == 0
    body = {"volume": "shelf", "vfid": FOLDER}
    until(lambda: site.api.manager("POST", "/folder/create", body).status == 204, "a folder is made there")
    assert [event.volume for event in site.events("vfolder.created")] == ["disk", "shelf"]


def test_settings_that_make_no_sense_change_nothing(site: Site) -> None:
    site.write_settings(gateway__colour="blue")
    told = site.penstock("reload")
    assert told.returncode == 1
    assert "gateway.colour" in told.stderr
    gateway = next(role for role in site.running if role.name == "gateway")
    with busy(site) as wrong:
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: "make no sense" in site.log("gateway"), "it is told")
    assert wrong == []
    assert is_ready(gateway.internal_port)


def test_settings_with_which_nothing_can_start_change_nothing(site: Site) -> None:
    site.write_settings(volumes__shelf__backend="vfs", volumes__shelf__path=str(site.path / "nowhere"))
    with busy(site) as wrong:
        assert site.penstock("reload").returncode == 0
        for role in ("gateway", "actor", "worker"):
            until(lambda role=role: "goes on with the old settings" in site.log(role), f"{role} has tried")
    assert wrong == []


def test_several_processes_hear_of_it_at_once(tmp_path: Path) -> None:
    with open_site(tmp_path, gateway__processes=2) as site:
        site.start("actor")
        gateway = site.start("gateway")
        until(lambda: site.log("gateway").count("serving clients") == 2, "both serve")
        site.write_settings(gateway__manager_secret=NEW_SECRET)
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: site.log("gateway").count("works with new settings") == 2, "both have them")
        assert accepts(site, NEW_SECRET)
        assert not accepts(site, SECRET)
        assert gateway.stop() == 0

"""What operators do with streams, archives and dead letters, by the commands they type."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis
from harness.dead_letters import publish_nonsense
from harness.processes import FOLDER, PENSTOCK, SCOPE, Site, open_site, until

from bus.streams import keys
from domain.ids import VFolderId

pytestmark = pytest.mark.timeout(180)

OTHER = f"{SCOPE}/aabb0002-0000-4000-8000-000000000002"
THIRD = f"{SCOPE}/aabb0003-0000-4000-8000-000000000003"


def rows(site: Site, *words: str, code: int = 0) -> list[dict[str, Any]]:
    """What a command prints, one object a line."""
    done = site.penstock(*words, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    text = done.stdout.strip()
    if text.startswith("["):
        return json.loads(text)
    return [json.loads(line) for line in text.splitlines()]


def test_commands_and_events_can_be_looked_at(site: Site) -> None:
    site.api.upload("a", b"x")
    (created,) = rows(site, "replay", "commands")
    assert (created["type"], created["key"]) == ("vfolder.create", str(VFolderId.parse(FOLDER)))
    types = [row["type"] for row in rows(site, "replay", "events")]
    assert types == ["volume.taken", "quota.scope.created", "vfolder.created", "file.uploaded"]
    assert [row["type"] for row in rows(site, "replay", "events", "--type", "vfolder.*")] == ["vfolder.created"]
    assert rows(site, "replay", "events", "--since", "1h", "--until", "30m") == []
    assert len(rows(site, "replay", "events", "--since", "1h")) == 4
    assert rows(site, "replay", "commands", "--volume", "other") == []
    (one,) = rows(site, "replay", "commands", "--id", created["id"])
    assert one == created
    done = site.penstock("replay", "commands", "--since", "yesterday")
    assert (done.returncode, "yesterday" in done.stderr) == (2, True)
    assert site.penstock("replay", "events", "--mode", "execute").returncode == 2


def test_events_are_shown_as_they_happen(site: Site) -> None:
    command = [*PENSTOCK, "streams", "tail", "--config", str(site.config), "--json", "--type", "vfolder.*"]
    tail = subprocess.Popen([*command, "--count", "2"], stdout=subprocess.PIPE, text=True)
    try:
        names = (f"{SCOPE}/aabb1{number:03}-0000-4000-8000-000000000002" for number in range(100))

        def ended() -> bool:
            # Until it listens, nothing is shown; so folders are made until it has seen two.
            site.api.make_folder(next(names))
            return tail.poll() is not None

        until(ended, "two events were shown")
        output = tail.communicate(timeout=10)[0]
        shown = [json.loads(line) for line in output.splitlines()]
    finally:
        tail.kill()
    assert [row["type"] for row in shown] == ["vfolder.created"] * 2
    (behind, *_) = rows(site, "streams", "tail", "--after", shown[0]["position"], "--count", "1")
    assert behind["position"] > shown[0]["position"]


def test_a_dry_run_tells_differences_and_changes_nothing(site: Site) -> None:
    site.api.make_folder(OTHER)
    with redis.Redis(port=site.server.port) as client:
        assert {row["difference"] for row in rows(site, "replay", "commands", "--mode", "dry-run")} == {""}
        gone = next(path for path in site.volume.rglob("0002*") if path.is_dir())
        gone.rmdir()
        before = (client.dbsize(), site.events(), sorted(site.volume.rglob("*")))
        found = rows(site, "replay", "commands", "--mode", "dry-run", code=3)
        assert [row["difference"] for row in found] == ["", f"folder {VFolderId.parse(OTHER)} is missing"]
        after = (client.dbsize(), site.events(), sorted(site.volume.rglob("*")))
    assert before == after


def test_executing_again_makes_what_is_missing_and_each_once_a_run(site: Site) -> None:
    site.api.make_folder(OTHER)
    gone = next(path for path in site.volume.rglob("0002*") if path.is_dir())
    gone.rmdir()
    words = ("replay", "commands", "--mode", "execute", "--run", "mend")
    answers = [row["answer"] for row in rows(site, *words)]
    assert answers[0].startswith("conflict")
    assert answers[1] == "ok"
    assert gone.is_dir()
    gone.rmdir()
    # What the run published is among the commands by now; under its name nothing is done twice.
    assert [row["answer"] for row in rows(site, *words)] == answers
    assert not gone.exists()
    assert len(rows(site, "replay", "commands")) == 4
    assert len(site.events("vfolder.created")) == 3


def test_a_task_for_a_volume_nobody_has_is_refused_and_not_left_waiting(site: Site) -> None:
    done = site.penstock("tasks", "start", "usage.scan", "--volume", "misspelt")
    assert (done.returncode, done.stderr) == (1, "Error: no volume misspelt is configured\n")
    with redis.Redis(port=site.server.port) as client:
        assert client.keys("*misspelt*") == []


def test_messages_are_copied_to_a_scratch_stream(site: Site) -> None:
    found = rows(site, "replay", "events", "--mode", "side", "--run", "look")
    with redis.Redis(port=site.server.port) as client:
        copied = [fields[b"m"] for _, fields in client.xrange("rpl:look")]
        assert copied == [fields[b"m"] for _, fields in client.xrange(keys.BROADCAST)]
    assert len(found) == len(copied) == 3


def test_dead_letters_are_looked_at_skipped_redriven_and_mended(site: Site) -> None:
    assert site.penstock("dlq", "ls").stdout.strip() == "none"
    ids = [publish_nonsense(site.server.url, folder) for folder in (FOLDER, OTHER, THIRD)]
    first, second, third = rows(site, "dlq", "ls")
    assert (first["type"], "folder" in first["reason"]) == ("vfolder.create", True)
    told = json.loads(site.penstock("dlq", "show", first["letter"]).stdout)
    assert (told["id"], told["body"]) == (str(ids[0]), {"folder": "nonsense"})

    assert rows(site, "dlq", "skip", first["letter"]) == [{"letter": first["letter"], "verb": "skip", "done": True}]
    assert site.penstock("dlq", "show", first["letter"]).returncode == 1

    (redriven,) = rows(site, "dlq", "redrive", second["letter"])
    assert redriven["done"]
    (again,) = until(
        lambda: [row for row in rows(site, "dlq", "ls") if row["letter"] > third["letter"]],
        "the redriven command was set aside again",
    )
    assert again["type"] == "vfolder.create"

    wrong = site.penstock("dlq", "edit", third["letter"], "--set", "folder=still nonsense")
    assert (wrong.returncode, "folder" in wrong.stderr) == (1, True)
    assert "Traceback" not in wrong.stderr
    (mended,) = rows(site, "dlq", "edit", third["letter"], "--set", f'folder="{THIRD}"')
    assert mended["done"]
    event = until(lambda: site.events("vfolder.created")[1:], "the mended command took effect")[0]
    assert event.key == str(VFolderId.parse(THIRD))
    assert str(event.origin.cause) == mended["id"]

    assert site.penstock("dlq", "skip").returncode == 2
    assert [row["done"] for row in rows(site, "dlq", "skip", "--all", "--volume", "disk")] == [True]
    assert rows(site, "dlq", "ls") == []
    assert site.penstock("dlq", "redrive", "disk/1-1").returncode == 1


def test_an_archive_outlives_redis(site: Site, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    site.api.upload("a", b"x")
    assert site.penstock("archive", "--to", str(archive), "--once").returncode == 0
    commands, events = rows(site, "replay", "commands"), rows(site, "replay", "events")
    site.api.make_folder(OTHER)
    assert site.penstock("archive", "--to", str(archive), "--once").returncode == 0
    site.server.flush()
    assert rows(site, "replay", "commands") == []
    read = ("--archive", str(archive))
    assert rows(site, "replay", "commands", *read)[: len(commands)] == commands
    archived = rows(site, "replay", "events", *read)
    assert archived[: len(events)] == events
    assert [row["type"] for row in archived[len(events) :]] == ["vfolder.created"]
    assert len(rows(site, "replay", "events", *read, "--type", "file.*")) == 1
    assert rows(site, "replay", "events", *read, "--volume", "other") == []


def test_an_archive_is_whole_however_often_its_process_is_killed(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    with open_site(tmp_path) as site:
        site.start("actor")
        site.start("gateway")
        command = [*PENSTOCK, "archive", "--to", str(archive), "--config", str(site.config)]
        for number in range(6):
            writing = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            for item in range(4):
                site.api.make_folder(f"{SCOPE}/aabb{number}{item:03}-0000-4000-8000-000000000001")
            until(lambda: list(archive.rglob("*.open")), "something is written")
            writing.kill()
            writing.wait()
        assert site.penstock("archive", "--to", str(archive), "--once").returncode == 0
        assert not list(archive.rglob("*.open"))
        read = ("--archive", str(archive))
        for what in ("commands", "events"):
            assert rows(site, "replay", what, *read) == rows(site, "replay", what)
        assert [row["reader"] for row in rows(site, "streams", "readers")] == ["archive"]


def test_the_catalogue_comes_back_from_events_and_volumes_with_every_difference_told(
    site: Site, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    site.api.make_folder(OTHER)
    site.api.upload("a", b"12345")
    scope = {"volume": "disk", "qsid": SCOPE, "options": {"limit_bytes": 1000}}
    assert site.api.manager("PATCH", "/quota-scope", scope).status == 204
    token = site.api.upload_token("half", 10)
    site.api.patch(token, 0, b"12345")
    (staged,) = (site.folder / ".upload").iterdir()
    assert rows(site, "rebuild", "--count") == []
    assert site.penstock("archive", "--to", str(archive), "--once").returncode == 0
    before = rows(site, "folders", "ls")
    site.api.upload("not in the archive", b"1234567")
    for role in site.running:
        role.stop()
    site.server.flush()
    assert rows(site, "folders", "ls") == []

    # Behind our back: one folder goes, one comes, and a limit is another.
    gone = next(path for path in site.volume.rglob("0002*") if path.is_dir())
    gone.rmdir()
    stranger = site.volume / "22222222222242228222222222222222/cc/dd/0001000040008000000000000009"
    stranger.mkdir(parents=True)
    (document,) = (site.volume / ".penstock/scopes").glob("*.json")
    document.write_text(document.read_text().replace("1000", "77"))

    os.utime(staged, (1, 1))
    read = ("--archive", str(archive))
    reported = rows(site, "rebuild", *read, "--dry-run", code=3)
    assert rows(site, "folders", "ls") == []
    found = rows(site, "rebuild", *read)
    assert found == reported
    mine, strange = VFolderId.parse(FOLDER), "user:22222222-2222-4222-8222-222222222222"
    assert {(row["subject"], row["action"]) for row in found} == {
        (str(mine), "added"),
        (f"{strange}/ccdd0001000040008000000000000009", "added"),
        (strange, "added"),
        (SCOPE, "added"),
        (str(VFolderId.parse(OTHER)), "none"),
    }
    assert [row["subject"] for row in found if f"upload {staged.name}" in row["difference"]] == [str(mine)]
    with redis.Redis(port=site.server.port) as client:
        assert client.hget(f"scope:{SCOPE}:info@disk", "limit_bytes") == b"77"
        assert client.exists(f"upload:{staged.name}")
    document.write_text(document.read_text().replace("77", "78"))
    corrected = rows(site, "rebuild")
    assert [(row["subject"], row["action"]) for row in corrected] == [(SCOPE, "corrected")]
    assert rows(site, "rebuild") == []
    listed = rows(site, "folders", "ls")
    (again,) = [row for row in listed if row["vfid"] == str(mine)]
    (first,) = [row for row in before if row["vfid"] == str(mine)]
    assert (again["created"], again["used_bytes"]) == (first["created"], 5 + 7)
    assert len(listed) == 2
    (uncounted,) = rows(site, "rebuild", "--count")
    assert uncounted["subject"].startswith(strange)
    assert rows(site, "rebuild", "--count") == []
    for role in ("actor", "gateway"):
        site.start(role)
    assert site.api.offset(token) == 5
    assert site.api.patch(token, 5, b"67890").status == 204


def test_a_scrub_finds_what_is_damaged(site: Site) -> None:
    for name in ("good", "d/bad"):
        site.api.upload(name, b"0123456789")
    (site.folder / "foreign").write_bytes(b"nobody kept a digest")
    assert rows(site, "scrub") == []
    bad = site.folder / "d" / "bad"
    known = bad.stat()
    with bad.open("r+b") as file:
        file.write(b"9")
    os.utime(bad, ns=(known.st_atime_ns, known.st_mtime_ns))
    (found,) = rows(site, "scrub", "--volume", "disk", code=3)
    assert (found["vfid"], found["path"]) == (str(VFolderId.parse(FOLDER)), "d/bad")
    assert len(rows(site, "replay", "events", "--type", "file.damaged")) == 1
    assert len(rows(site, "scrub", "--folder", FOLDER, "--quiet", code=3)) == 1
    missing = site.penstock("scrub", "--folder", OTHER)
    assert (missing.returncode, "no folder" in missing.stderr) == (1, True)
    site.api.make_folder(OTHER)
    assert rows(site, "scrub", "--folder", OTHER, code=0) == []
    assert site.penstock("scrub", "--volume", "nope").returncode == 1
    done = site.penstock("scrub", "--keep", "--quiet")
    assert "1 unknown" in done.stderr
    done = site.penstock("scrub", "--quiet")
    assert (done.returncode, "2 intact" in done.stderr) == (3, True)

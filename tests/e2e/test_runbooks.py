"""Every command of the runbooks is run as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.dead_letters import publish_nonsense
from harness.processes import FOLDER, PENSTOCK, SCOPE, Site, open_site, until

pytestmark = pytest.mark.timeout(240)

RUNBOOKS = Path(__file__).parents[2] / "docs" / "recovery.md"
#: Exit codes that say all went well: of these 3 is a dry run that found something to do.
WELL = (0, 3)


def commands(text: str) -> list[str]:
    """Each command of a page: the lines of its shell blocks, and what stands in backquotes within a sentence."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`(penstock [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [" ".join(found.split()) for found in (*lines, *inline) if found.startswith("penstock ")]


COMMANDS = commands(RUNBOOKS.read_text())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with a past: folders, a file, an archive."""
    with open_site(tmp_path_factory.mktemp("site")) as found:
        for role in ("actor", "worker", "gateway"):
            found.start(role)
        found.api.make_folder()
        found.api.upload("a", b"x")
        done = found.penstock("archive", "--to", str(found.path / "archive"), "--once")
        assert done.returncode == 0, done.stderr
        yield found


def words_of(command: str, site: Site, letter: str) -> list[str]:
    """A command with this site's names in the place of those on the page."""
    names = {
        "/var/lib/penstock/archive": str(site.path / "archive"),
        "DIR": str(site.path / "archive"),
        "NAME": "disk",
        "FOLDER": FOLDER,
    }
    words = [names.get(word, word) for word in shlex.split(command)[1:]]
    return [re.sub(r"^disk/[0-9]+-[0-9]+$", letter, word) for word in words]


def dead_letter(site: Site, number: int) -> str:
    """A new one of a folder of its own; its name."""
    folder = f"{SCOPE}/aabb{number:04}-0000-4000-8000-000000000002"
    publish_nonsense(site.server.url, folder, {"folder": folder, "mode": "nonsense"})
    listed = site.penstock("dlq", "ls", "--json")
    return re.findall(r'"letter": ?"(disk/[0-9-]+)"', listed.stdout)[-1]


@pytest.mark.parametrize(("number", "command"), list(enumerate(COMMANDS)))
def test_a_command_of_the_runbooks(site: Site, number: int, command: str) -> None:
    letter = dead_letter(site, 1000 + number) if "disk/" in command else ""
    words = words_of(command, site, letter)
    if goes_on_for_ever(words):
        assert runs_until_it_is_stopped(site, words)
    else:
        done = site.penstock(*words)
        assert done.returncode in WELL, done.stdout + done.stderr


def goes_on_for_ever(words: list[str]) -> bool:
    return (
        words[:2] == ["streams", "tail"] or words == ["worker"] or (words[0] == "archive" and "--once" not in words)
    )


def runs_until_it_is_stopped(site: Site, words: list[str]) -> bool:
    process = subprocess.Popen([*PENSTOCK, *words, "--config", str(site.config)], stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(2)
        assert process.poll() is None, process.stderr
        process.terminate()
        until(lambda: process.poll() is not None, "it stops")
        return process.returncode in (0, -15)
    finally:
        process.kill()
        process.communicate()


def test_there_are_runbooks() -> None:
    assert len(COMMANDS) > 20
    assert {"doctor", "dlq", "rebuild", "replay", "archive", "streams"} <= {c.split()[1] for c in COMMANDS}

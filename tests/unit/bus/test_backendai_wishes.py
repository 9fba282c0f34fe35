"""Wishes for mounts: what they say, and which are not seen to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bus.backendai.programs import MOUNT_NAMES, filled_in
from bus.backendai.wire import Heard
from bus.backendai.wishes import Wish

SCOPE = "user:11111111-1111-4111-8111-111111111111"
MOUNT = ("d", "disk", SCOPE, "10.0.0.1:/export", "nfs", "vers=4.2", "group", True, "/etc/other")
UNMOUNT = ("d", "disk", SCOPE, "group", True, "/etc/other")


def wish(*arguments: Any, name: str = "do_volume_mount") -> Wish:
    found = Wish.of(Heard(name, arguments))
    assert found is not None
    return found


def test_everything_a_wish_says_can_be_given_to_the_program() -> None:
    program = [f"{{{name}}}" for name in MOUNT_NAMES]
    words = filled_in(program, wish(*MOUNT).fields(Path("/srv/d")))
    assert dict(zip(MOUNT_NAMES, words, strict=True)) == {
        "path": "/srv/d",
        "scope": SCOPE,
        "location": "10.0.0.1:/export",
        "type": "nfs",
        "options": "vers=4.2",
        "edit_fstab": "true",
        "fstab_path": "/etc/other",
    }
    unmount = wish(*UNMOUNT, name="do_volume_unmount")
    assert not unmount.mount
    assert filled_in(["{scope} {edit_fstab} {fstab_path}"], unmount.fields(Path("/"))) == [
        f"{SCOPE} true /etc/other"
    ]


@pytest.mark.parametrize("arguments", [("d", "disk", SCOPE), ("d", "disk", SCOPE, "l", "nfs", None, None, 1, None)])
def test_what_is_not_said_is_empty(arguments: tuple[Any, ...]) -> None:
    fields = wish(*arguments).fields(Path("/"))
    assert fields["options"] == ""
    assert (fields["edit_fstab"], fields["fstab_path"]) == ("false", "/etc/fstab"), "as with their own"


@pytest.mark.parametrize(
    "heard", [Heard("do_volume_mount", ("d", "disk")), Heard("volume_mounted", MOUNT), Heard("x", ())]
)
def test_what_is_no_wish(heard: Heard) -> None:
    assert Wish.of(heard) is None


@pytest.mark.parametrize("directory", ["d", "d/", "..d", "한글"])
def test_directories_of_the_volume(directory: str) -> None:
    assert wish(directory, *MOUNT[1:]).problem == ""


@pytest.mark.parametrize("directory", ["", "/", ".", "..", "../d", "d/..", "/d", "d/e", None, 7])
def test_directories_that_lead_out(directory: object) -> None:
    assert wish(directory, *MOUNT[1:]).problem == "the directory leads out of the volume"


@pytest.mark.parametrize("number", [0, 2, 3, 4, 5, 8])
@pytest.mark.parametrize(("word", "told"), [("--bind", "option"), ("a\0b", "no program")])
def test_words_no_program_may_be_given(number: int, word: str, told: str) -> None:
    arguments = [*MOUNT]
    arguments[number] = word
    assert told in wish(*arguments).problem

"""The fence of mounted volumes: an owner whose time is over, stopped at the worst moment."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Self
from uuid import UUID, uuid4

import pytest
from harness.hosts import elsewhere

from backends.contract import Operation
from backends.mounted import area as area_module
from backends.mounted import durable as durable_module
from backends.mounted import folders as folders_module
from backends.mounted import marker as marker_module
from backends.mounted import scopes as scopes_module
from backends.mounted import trash as trash_module
from backends.mounted.area import Area
from backends.mounted.beneath import open_root
from backends.mounted.durable import rename_exclusive
from backends.mounted.fence import Fence
from backends.mounted.folders import Folders
from backends.mounted.scopes import Scopes
from backends.mounted.trash import Trash
from domain.errors import FencedError, PenstockError
from domain.ids import QuotaScopeId, VFolderId

SCOPE = QuotaScopeId.parse("user:11111111-1111-4111-8111-111111111111")
OTHER = QuotaScopeId.parse("user:22222222-2222-4222-8222-222222222222")
EMPTY = QuotaScopeId.parse("user:33333333-3333-4333-8333-333333333333")
FOLDER = VFolderId(SCOPE, UUID("aabb0001-0000-4000-8000-000000000001"))
NEW = VFolderId(SCOPE, UUID("aabb0002-0000-4000-8000-000000000002"))


class Owner:
    """One process's view of a volume."""

    def __init__(self, path: Path) -> None:
        self.root = path
        self.mount = open_root(path)
        self.area = Area(self.mount)
        self.area.prepare()
        self.scopes = Scopes(self.area)
        self.folders = Folders(self.area, self.scopes)
        self.trash = Trash(self.area, self.scopes, self.folders)
        self.epoch = self.area.fence.epoch()

    def take_over(self) -> None:
        self.epoch = self.area.fence.epoch() + 1
        self.area.fence.take_over(self.epoch)

    def op(self, op: UUID | None = None) -> Operation:
        return Operation(op or uuid4(), self.epoch)

    def tree(self) -> set[str]:
        """Everything users can see."""
        found = {str(path.relative_to(self.root)) for path in self.root.rglob("*")}
        return {name for name in found if not name.startswith(".penstock")}

    def hidden(self, place: str) -> list[str]:
        return sorted(entry.name for entry in (self.root / ".penstock" / place).iterdir())


@contextmanager
def opened(path: Path) -> Iterator[tuple[Owner, Owner]]:
    """The owner, with two scopes and a folder, and who will come after it."""
    path.mkdir()
    first, second = Owner(path), Owner(elsewhere(path))
    first.take_over()
    first.scopes.create(first.op(), SCOPE, None)
    first.scopes.create(first.op(), EMPTY, None)
    first.folders.create(first.op(), FOLDER, 0o755)
    (path.joinpath(*FOLDER.directory) / "file").write_text("precious")
    yield first, second
    first.mount.close()
    second.mount.close()


@dataclass(frozen=True)
class Change:
    """Something an owner does, and how it shows that it was done."""

    do: Callable[[Owner, Operation], object]
    done: Callable[[Owner], bool]


def limited(owner: Owner) -> int | None:
    return owner.scopes.limits(SCOPE).limit_bytes


def shown(owner: Owner, folder: VFolderId) -> bool:
    return owner.root.joinpath(*folder.directory).is_dir()


CHANGES = {
    "create folder": Change(lambda o, op: o.folders.create(op, NEW, 0o755), lambda o: shown(o, NEW)),
    "delete folder": Change(lambda o, op: o.trash.delete(op, FOLDER), lambda o: not shown(o, FOLDER)),
    "move folder": Change(lambda o, op: o.trash.move(op, FOLDER, NEW), lambda o: shown(o, NEW)),
    "create scope": Change(lambda o, op: o.scopes.create(op, OTHER, 5), lambda o: o.scopes.exists(OTHER)),
    "ensure scope": Change(lambda o, op: o.scopes.ensure(op, OTHER), lambda o: o.scopes.exists(OTHER)),
    "delete scope": Change(lambda o, op: o.scopes.delete(op, EMPTY), lambda o: not o.scopes.exists(EMPTY)),
    "set limit": Change(lambda o, op: o.scopes.set_limits(op, SCOPE, 5), lambda o: limited(o) == 5),
}


class Interrupter:
    """Has something happen right before the n-th rename of the first owner."""

    def __init__(self, number: int, happen: Callable[[], None]) -> None:
        self._left = number
        self._happen = happen
        self.happened = False

    def _before(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.happened = True
            self._happen()

    @classmethod
    @contextmanager
    def at(cls, monkeypatch: pytest.MonkeyPatch, number: int, happen: Callable[[], None]) -> Iterator[Self]:
        """Have it happen during the block."""
        interrupter = cls(number, happen)
        with monkeypatch.context() as patch:
            interrupter._install(patch)
            yield interrupter

    def _install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def rename(source: str, target: str, **fds: int) -> None:
            self._before()
            os.rename(source, target, **fds)

        def exclusive(source_fd: int, source: str, target_fd: int, target: str) -> None:
            self._before()
            rename_exclusive(source_fd, source, target_fd, target)

        class Late:
            """The module `os`, but for the rename."""

            def __getattr__(self, name: str) -> object:
                return rename if name == "rename" else getattr(os, name)

        for module in (folders_module, scopes_module, trash_module, area_module, durable_module):
            monkeypatch.setattr(module, "os", Late())
        for module in (folders_module, scopes_module):
            monkeypatch.setattr(module, "rename_exclusive", exclusive)


@pytest.mark.parametrize("name", CHANGES)
def test_taken_over_before_each_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The worst moments there are: everything is ready, only the rename is left, and another takes over.

    Whatever the late owner did or did not, the new one repeats the operation and it is done once.
    """
    change, stops = CHANGES[name], 0
    for number in count(1):
        with opened(tmp_path / str(number)) as (first, second):
            id_ = uuid4()
            with Interrupter.at(monkeypatch, number, second.take_over) as interrupter:
                before = first.tree()
                with suppress(FencedError):
                    change.do(first, first.op(id_))
            if not interrupter.happened:
                break
            stops += 1
            if number == 1:
                assert second.tree() == before
            change.do(second, second.op(id_))
            assert change.done(second)
            check_nothing_else(second, name, id_)
    assert stops >= 1


@pytest.mark.parametrize("marks", [True, False], ids=["attributes", "no attributes"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_late_owner_that_does_the_same_meanwhile_is_nothing_to_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, marks: bool
) -> None:
    """It reads from another Redis, and tries what both were told before each rename of its successor.

    What it is refused itself nobody hears of: who owns the volume is looked at before that.
    """
    change = CHANGES[name]
    if not marks:
        monkeypatch.setattr(marker_module.os, "setxattr", unsupported)
        monkeypatch.setattr(marker_module.os, "getxattr", unsupported)
    for number in count(1):
        with opened(tmp_path / str(number)) as (first, second):
            second.take_over()
            id_ = uuid4()
            with Interrupter.at(monkeypatch, number, partial(try_to, change, first, id_)) as interrupter:
                change.do(second, second.op(id_))
            assert change.done(second)
            check_nothing_else(second, name, id_)
            if not interrupter.happened:
                break


@pytest.mark.parametrize("name", ["create folder", "delete folder", "move folder"])
def test_a_call_that_was_given_up_and_is_done_meanwhile_is_nothing_to_the_one_that_repeats_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its thread was stuck in the storage, and goes on before each rename of the next try.

    What that is refused for it is looked at once more (`actors.policy`).
    """
    change = CHANGES[name]
    for number in count(1):
        with opened(tmp_path / str(number)) as (first, second):
            second.epoch = first.epoch
            id_ = uuid4()
            with Interrupter.at(monkeypatch, number, partial(try_to, change, first, id_)) as interrupter:
                try_to(change, second, id_)
            change.do(second, second.op(id_))
            assert change.done(second)
            if not interrupter.happened:
                check_nothing_else(second, name, id_)
                break


def try_to(change: Change, owner: Owner, id_: UUID) -> None:
    with suppress(PenstockError):
        change.do(owner, owner.op(id_))


def unsupported(*_: object) -> None:
    raise OSError(errno.ENOTSUP, "no attributes here")


def check_nothing_else(owner: Owner, name: str, id_: UUID) -> None:
    assert owner.hidden("lost") == []
    assert owner.hidden(f"stage.{owner.epoch}/e{owner.epoch}") == []
    deleted = name == "delete folder"
    assert (str(id_) in owner.hidden("trash")) is deleted
    folder = owner.root.joinpath(*(NEW if name == "move folder" else FOLDER).directory)
    place = owner.root / ".penstock/trash" / str(id_) if deleted else folder
    assert (place / "file").read_text() == "precious"


@pytest.mark.parametrize("name", CHANGES)
def test_a_late_owner_is_told_and_changes_nothing(tmp_path: Path, name: str) -> None:
    with opened(tmp_path / "volume") as (first, second):
        second.take_over()
        before = second.tree()
        with pytest.raises(FencedError):
            CHANGES[name].do(first, first.op())
        assert second.tree() == before
        assert not CHANGES[name].done(second)


def test_without_the_fence_a_late_owner_does_change_the_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with paths that do not tell the epoch the tests above would fail."""
    for name, change in CHANGES.items():
        with opened(tmp_path / name) as (first, second), monkeypatch.context() as patch:
            second.take_over()
            patch.setattr(Fence, "path", lambda self, _, name: f".penstock/stage.2/e2/{name}")
            change.do(first, first.op())
            assert change.done(second)


def test_of_many_that_take_over_each_epoch_has_one_owner(tmp_path: Path) -> None:
    """Nobody asks Redis here: the volume alone decides."""
    tmp_path.joinpath("volume").mkdir()
    owners = [Owner(tmp_path / "volume") for _ in range(4)]
    owners[0].take_over()
    owners[0].scopes.create(owners[0].op(), SCOPE, None)
    won: list[int] = []
    made: list[VFolderId] = []

    def contend(owner: Owner) -> None:
        while len(won) < 40:
            with suppress(FencedError):
                owner.take_over()
                won.append(owner.epoch)
                for _ in range(3):
                    folder = VFolderId(SCOPE, uuid4())
                    owner.folders.create(owner.op(), folder, 0o755)
                    made.append(folder)

    threads = [threading.Thread(target=contend, args=(owner,)) for owner in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == len(set(won))
    on_disk = set(owners[0].folders.find())
    assert set(made) <= on_disk
    # What was made right before somebody else took over may be unknown to its maker, never half there.
    assert len(on_disk) <= len(made) + len(won)
    assert owners[0].hidden("lost") == []
    for owner in owners:
        owner.mount.close()


def test_the_area_appears_once_however_many_prepare_it(tmp_path: Path) -> None:
    tmp_path.joinpath("volume").mkdir()
    gate = threading.Barrier(6)

    def prepare() -> None:
        gate.wait()
        Owner(tmp_path / "volume").mount.close()

    threads = [threading.Thread(target=prepare) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry.name for entry in (tmp_path / "volume").iterdir()] == [".penstock"]
    registers = list((tmp_path / "volume/.penstock").glob("stage.*"))
    assert [register.name for register in registers] == ["stage.0"]


def test_the_area_appears_once_where_no_rename_excludes_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS: whoever has looked whether it is there may be overtaken."""
    path = tmp_path / "volume"
    path.mkdir()

    def unknown(*_: object) -> int:
        ctypes.set_errno(errno.EINVAL)
        return -1

    class Overtaken:
        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

        def stat(self, *args: object, **more: object) -> os.stat_result:
            try:
                return os.stat(*args, **more)  # type: ignore[arg-type]
            except FileNotFoundError:
                monkeypatch.undo()
                Owner(path).mount.close()
                raise

    monkeypatch.setattr(durable_module._libc, "renameat2", unknown)
    monkeypatch.setattr(durable_module, "os", Overtaken())
    Owner(path).mount.close()
    assert durable_module.os is os, "it was overtaken"
    assert [entry.name for entry in path.iterdir()] == [".penstock"]


def test_what_a_late_owner_left_is_never_destroyed(tmp_path: Path) -> None:
    with opened(tmp_path / "volume") as (first, second):
        left = first.root / f".penstock/stage.{first.epoch}/e{first.epoch}/gone.unknown"
        left.mkdir()
        (left / "file").write_text("precious")
        second.take_over()
        (kept,) = second.hidden("lost")
        assert (second.root / ".penstock/lost" / kept / "file").read_text() == "precious"

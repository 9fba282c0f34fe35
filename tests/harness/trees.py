"""A folder with one of everything on a real file system, and clones of it."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import UUID

from backends.contract import Operation
from backends.powers import BuildPlan, TreeCopy
from backends.registry import driver
from backends.vfs.volume import VfsVolume
from domain.ids import VFolderId, uuid7

SOURCE = VFolderId.parse("user:11111111-1111-4111-8111-111111111111/aabb0001000040008000000000000001")
TARGET = VFolderId.parse("user:11111111-1111-4111-8111-111111111111/aabb0002000040008000000000000002")

open_vfs = driver("vfs").open


def new_id() -> UUID:
    return uuid7(1_700_000_000_000, os.urandom(16))


def op(epoch: int = 1) -> Operation:
    return Operation(new_id(), epoch)


async def begin(volume: VfsVolume, *, verify: bool = False) -> BuildPlan:
    begun = op()
    plan = BuildPlan(begun.id, volume.name, SOURCE, TARGET, verify)
    await volume.begin_build(begun, plan)
    return plan


async def to_its_end(copy: TreeCopy) -> None:
    while not await copy.step():
        pass


async def copy_all(volume: VfsVolume, plan: BuildPlan, attempt: str = "a") -> tuple[int, int, tuple[str, ...]]:
    tree = await volume.tree(SOURCE)
    copy = await volume.copy_into(plan.id, attempt, tree)
    try:
        await to_its_end(copy)
        return copy.items, copy.size_bytes, tuple(copy.changed)
    finally:
        await copy.close()
        await tree.close()


def attributes(path: Path) -> tuple[int, int, int]:
    known = path.stat()
    return known.st_mode, known.st_uid, known.st_gid


def state(root: Path) -> dict[str, tuple[object, ...]]:
    """All that is to be kept of a tree."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        name, known = str(path.relative_to(root)), path.lstat()
        if name.startswith(".upload") or name == "fifo":
            continue
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()), known.st_mtime_ns)
        elif path.is_dir():
            found[name] = ("directory", known.st_mode, known.st_mtime_ns)
        else:
            more = {key: os.getxattr(path, key) for key in os.listxattr(path)}
            found[name] = (path.read_bytes(), known.st_mode, known.st_mtime_ns, known.st_nlink, more)
    return found

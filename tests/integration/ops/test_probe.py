"""What executing a command again would change, for every type of command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from harness.world import FOLDER, OTHER, PLACE, SCOPE, open_vfs

from backends.contract import Operation
from backends.observer import SilentObserver
from backends.powers import BuildPlan, Work
from backends.registry import Site
from backends.settings import ThreadSettings
from domain import commands, task_commands
from domain.ids import QuotaScopeId, VFolderId, VolumeName
from domain.messages import Command
from domain.registry import COMMANDS
from domain.tasks import TaskKind
from ops.probe import PROBES, difference

pytestmark = pytest.mark.anyio

MINE, NOBODYS, OURS = VFolderId.parse(FOLDER), VFolderId.parse(OTHER), QuotaScopeId.parse(SCOPE)
TRASH, WORK, BUILD, NONE = (UUID(int=number) for number in (10, 11, 12, 13))
COUNTED = {"attempt": "a", "entries": 1, "size_bytes": 1}


@dataclass
class Case:
    """A command, and what it would change."""

    command: Command
    words: str


def cases() -> list[Case]:
    def of(kind: type[Command], words: str, /, **fields: Any) -> Case:
        return Case(kind(**fields), words)

    missing, there = f"folder {NOBODYS} is missing", f"folder {MINE} is still there"
    copied = {"source": MINE, "destination": MINE}
    new = {"source": MINE, "destination": NOBODYS}
    entry, listed = f"trash entry {TRASH} is still there", "is still on the volume's list"
    strange = QuotaScopeId.parse("user:22222222-2222-4222-8222-222222222222")
    return [
        of(commands.CreateQuotaScope, "", scope=OURS),
        of(
            commands.CreateQuotaScope,
            f"the soft limit of {OURS} is 70 bytes, not none",
            scope=OURS,
            limit_bytes=100,
        ),
        of(commands.CreateQuotaScope, f"quota scope {strange} is missing", scope=strange),
        of(commands.DeleteQuotaScope, f"quota scope {OURS} is still there", scope=OURS),
        of(commands.DeleteQuotaScope, "", scope=strange),
        of(commands.SetQuota, "", scope=OURS, limit_bytes=100, soft_bytes=70),
        of(commands.SetQuota, f"the limit of {OURS} is 100 bytes, not 9 bytes", scope=OURS, limit_bytes=9),
        of(commands.UnsetQuota, f"the limit of {OURS} is 100 bytes, not none", scope=OURS),
        of(commands.CreateVFolder, "", folder=MINE),
        of(commands.CreateVFolder, missing, folder=NOBODYS),
        of(commands.SetVFolderQuota, "", folder=MINE, limit_bytes=50),
        of(commands.SetVFolderQuota, f"the limit of {MINE} is 50 bytes, not none", folder=MINE),
        of(commands.SetVFolderQuota, missing, folder=NOBODYS, limit_bytes=50),
        of(commands.DeleteVFolder, there, folder=MINE),
        of(commands.DeleteVFolder, "", folder=NOBODYS),
        of(commands.DeleteFiles, "still there: a", folder=MINE, paths=["a", "d", "gone"]),
        of(commands.DeleteFiles, "still there: a, d", folder=MINE, paths=["a", "d"], recursive=True),
        of(commands.DeleteFiles, "", folder=NOBODYS, paths=["a"]),
        of(commands.RestoreVFolder, entry, folder=NOBODYS, trash=TRASH),
        of(commands.RestoreVFolder, "", folder=NOBODYS, trash=NONE),
        of(commands.PurgeVFolder, entry, folder=NOBODYS, trash=TRASH),
        of(commands.FinishPurge, entry, folder=NOBODYS, trash=TRASH, entries=0),
        of(commands.RequestClone, missing, **new),
        of(commands.RequestClone, "", **copied),
        of(commands.FinishClone, missing, **new, task=BUILD, **COUNTED),
        of(commands.AbandonClone, f"task {BUILD} {listed}", **new, task=BUILD),
        of(commands.MigrateVFolder, missing, **new),
        of(commands.WithdrawVFolder, there, folder=MINE, task=NONE, destination=NOBODYS, destination_volume="b"),
        of(commands.FinishMigration, missing, **new, task=BUILD, **COUNTED),
        of(commands.AbandonMigration, "", **new, task=NONE),
        of(task_commands.StartTask, "usage.scan would be done again", kind=TaskKind.SCAN),
        of(task_commands.FinishTask, f"task {WORK} {listed}", task=WORK, items=1),
        of(task_commands.AbandonTask, "", task=NONE),
        of(task_commands.CancelTask, f"task {WORK} {listed}", task=WORK),
    ]


@pytest.fixture
async def volume(tmp_path: Path) -> AsyncIterator[Any]:
    site = Site(VolumeName("disk"), {"path": str(tmp_path)}, ThreadSettings(), SilentObserver())
    async with open_vfs(site) as opened:
        await opened.take_over(1)
        await opened.create_scope(Operation(UUID(int=1), 1), OURS, 100, 70)
        await opened.create_folder(Operation(UUID(int=2), 1), MINE, 0o755)
        await opened.set_folder_quota(Operation(UUID(int=3), 1), MINE, 50, None)
        await opened.create_folder(Operation(UUID(int=4), 1), NOBODYS, 0o755)
        await opened.delete_folder(Operation(TRASH, 1), NOBODYS)
        await opened.begin_work(Operation(WORK, 1), Work(WORK, TaskKind.SCAN, None, {}))
        await opened.begin_build(Operation(BUILD, 1), BuildPlan(BUILD, VolumeName("disk"), MINE, NOBODYS))
        (tmp_path / PLACE / "a").write_bytes(b"x")
        (tmp_path / PLACE / "d").mkdir()
        yield opened


async def test_every_type_of_command_is_looked_at(volume: Any) -> None:
    assert set(PROBES) == set(COMMANDS.values())
    told = [(case, await difference(volume, case.command)) for case in cases()]
    assert [(case.command, words) for case, words in told] == [(case.command, case.words) for case, _ in told]
    assert {type(case.command) for case, _ in told} == set(PROBES)

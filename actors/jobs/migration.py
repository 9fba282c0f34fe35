"""Moving a folder to another volume.

It is copied where it is, twice, so that little is left to copy; then it is taken from its place, the last of it is
copied, and it appears at its new place. What is kept of it at the old one goes only after that: until then it can
come back. Each step can be repeated, and shows on the volumes that it was done.
"""

from __future__ import annotations

from typing import Final

from actors.jobs.copying import Copying
from actors.jobs.running import GivenUp, attempt
from actors.jobs.settlement import settle
from backends.contract import TrashEntry
from backends.powers import LimitsFolders, TreeCopy, WithdrawsFolders
from domain.commands import AbandonMigration, FinishMigration, WithdrawVFolder
from domain.envelope import Failure
from domain.errors import NotFoundError, Subject, UnsupportedError
from domain.failures import error_of
from domain.tasks import TaskState
from domain.usage import Quota

#: Copies of a folder that is still in use: the second one finds what was changed during the first.
_PASSES: Final = 2
#: How long a step of another volume's actor is waited for, in seconds. The next look goes on where this one was.
_STEP_SECONDS: Final = 60.0


async def migrate(copying: Copying) -> TaskState | None:
    """Do what is left of it, and tell how it ended; None: it has not."""
    task = copying.task
    outcome = await attempt(_copied(copying))
    if outcome is None:
        return None
    state = TaskState.DONE
    end: FinishMigration | AbandonMigration
    if isinstance(outcome, GivenUp):
        end, state = AbandonMigration(**copying.names, task=task.id, **outcome.reason), outcome.state
    else:
        end = outcome
    await task.lease.confirm()
    reply = await task.ask(end, task.volume, copying.attempt, _STEP_SECONDS)
    if reply.failure is not None:
        return None
    migrated = bool(reply.result.get("migrated"))
    await _settle(copying, migrated=migrated)
    return state if migrated or state is not TaskState.DONE else TaskState.FAILED


async def _copied(copying: Copying) -> FinishMigration:
    task, source = copying.task, copying.source
    await task.check_cancelled()
    copy = await _copy_all(copying)
    await task.check_cancelled()
    quota = await source.folder_quota(copying.plan.source) if isinstance(source, LimitsFolders) else Quota()
    return FinishMigration(
        **copying.names,
        task=task.id,
        attempt=copying.attempt,
        entries=copy.items,
        size_bytes=copy.size_bytes,
        limit_bytes=quota.limit_bytes,
        soft_bytes=quota.soft_bytes,
    )


async def _copy_all(copying: Copying) -> TreeCopy:
    source = copying.source
    if not isinstance(source, WithdrawsFolders):
        raise UnsupportedError(f"folders of backend {source.backend} stay there", subject=Subject.VFOLDER)
    entry = await _withdrawn(copying) or await _withdraw(copying)
    if not copying.is_admitted:
        await copying.recall()  # counting would take long, and nobody can use it meanwhile
    return await copying.copy(await source.withdrawn_tree(entry.id))


async def _withdraw(copying: Copying) -> TrashEntry:
    """Copy the folder at its place, and have it taken from there.

    Raises:
        NotFoundError: it is not there, nor was it taken for this task.
    """
    try:
        failure = await _copied_at_place(copying)
    except NotFoundError as error:
        # An earlier attempt may have had it taken, which was done only now.
        entry = await _withdrawn(copying)
        if error.subject is not Subject.VFOLDER or entry is None:
            raise
        return entry
    entry = await _withdrawn(copying)
    if entry is None:
        folder = str(copying.plan.source)
        raise error_of(failure) if failure else NotFoundError(folder, subject=Subject.VFOLDER)
    return entry


async def _copied_at_place(copying: Copying) -> Failure | None:
    """Copy what can still be changed, and then ask for it; why it was not taken, if it was not."""
    await copying.count()
    for _ in range(_PASSES):
        await copying.from_place()
        await copying.task.check_cancelled()
    wish = WithdrawVFolder(
        folder=copying.plan.source,
        task=copying.task.id,
        destination=copying.plan.destination,
        destination_volume=copying.task.volume,
    )
    # Another try is another command: one that came too late for its deadline would be refused for ever.
    reply = await copying.task.ask(wish, copying.plan.source_volume, copying.attempt, _STEP_SECONDS)
    return reply.failure


async def _withdrawn(copying: Copying) -> TrashEntry | None:
    """The folder in the trash of its old volume, if it is there for this task."""
    return next((entry for entry in await copying.source.trash() if entry.held == copying.task.id), None)


async def _settle(copying: Copying, *, migrated: bool) -> None:
    """Have what is kept at the old place purged, or put back; what is cut short, the old volume's actor does."""
    entry = await _withdrawn(copying)
    if entry is not None:
        await settle(copying.bus, entry, copying.plan.source_volume, migrated=migrated)

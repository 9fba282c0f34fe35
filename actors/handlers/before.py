"""What of an operation was done by an actor that died before it told of that.

Who takes its command up again does not judge it anew: limits and folders may have changed, and it would be refused
though it was let in, and goes on.
"""

from __future__ import annotations

from backends.contract import Operation, Volume
from backends.powers import BuildsFolders
from backends.presence import is_at_place
from domain.ids import VFolderId


async def is_made(folder: VFolderId, op: Operation, volume: Volume) -> bool:
    """Whether a folder is there, or on its way there. One that somebody else has made is a reason of its own."""
    if await is_being_copied(op, volume) or any(entry.id == op.id for entry in await volume.trash()):
        return True
    return await is_at_place(volume, folder)


async def is_being_copied(op: Operation, volume: Volume) -> bool:
    """Whether this operation has a copy made."""
    return isinstance(volume, BuildsFolders) and any(plan.id == op.id for plan in await volume.builds())

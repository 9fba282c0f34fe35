"""What executing a command again would change, found out without changing anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from backends.contract import Volume
from backends.presence import is_at_place
from domain.commands import (
    CreateQuotaScope,
    CreateVFolder,
    DeleteQuotaScope,
    DeleteVFolder,
    FinishPurge,
    RequestClone,
    SetQuota,
    UnsetQuota,
)
from domain.errors import NotFoundError
from domain.ids import QuotaScopeId
from domain.messages import Command


async def difference(volume: Volume, command: Command) -> str:
    """In words what the command would change now; empty if the volume is as the command wants it."""
    return await _PROBES[type(command)](volume, command)


async def _scope(volume: Volume, scope: QuotaScopeId, limit_bytes: int | None, *, exact: bool) -> str:
    try:
        present = (await volume.quota(scope)).limit_bytes
    except NotFoundError:
        return f"quota scope {scope} is missing"
    if exact and present != limit_bytes:
        return f"the limit of {scope} is {_limit(present)}, not {_limit(limit_bytes)}"
    return ""


def _limit(limit_bytes: int | None) -> str:
    return "none" if limit_bytes is None else f"{limit_bytes} bytes"


async def _create_scope(volume: Volume, command: CreateQuotaScope) -> str:
    return await _scope(volume, command.scope, command.limit_bytes, exact=command.limit_bytes is not None)


async def _delete_scope(volume: Volume, command: DeleteQuotaScope) -> str:
    missing = await _scope(volume, command.scope, None, exact=False)
    return "" if missing else f"quota scope {command.scope} is still there"


async def _set_quota(volume: Volume, command: SetQuota) -> str:
    return await _scope(volume, command.scope, command.limit_bytes, exact=True)


async def _unset_quota(volume: Volume, command: UnsetQuota) -> str:
    return await _scope(volume, command.scope, None, exact=True)


async def _create_folder(volume: Volume, command: CreateVFolder) -> str:
    return "" if await is_at_place(volume, command.folder) else f"folder {command.folder} is missing"


async def _delete_folder(volume: Volume, command: DeleteVFolder) -> str:
    return f"folder {command.folder} is still there" if await is_at_place(volume, command.folder) else ""


async def _finish_purge(volume: Volume, command: FinishPurge) -> str:
    there = any(entry.id == command.trash for entry in await volume.trash())
    return f"trash entry {command.trash} is still there" if there else ""


async def _clone(volume: Volume, command: RequestClone) -> str:
    there = await is_at_place(volume, command.destination)
    return "" if there else f"folder {command.destination} is missing"


_PROBES: Final[Mapping[type[Command], Callable[[Volume, Any], Awaitable[str]]]] = {
    CreateQuotaScope: _create_scope,
    DeleteQuotaScope: _delete_scope,
    SetQuota: _set_quota,
    UnsetQuota: _unset_quota,
    CreateVFolder: _create_folder,
    DeleteVFolder: _delete_folder,
    FinishPurge: _finish_purge,
    RequestClone: _clone,
}

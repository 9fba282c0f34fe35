"""What is counted of uploads that are not finished: bytes against limits, and how many an owner has.

Counting in and out are changes that go with a change of the upload's record, in one step: a process that is killed
leaves nothing counted of which there is no record.
"""

from __future__ import annotations

from bus.accounts import Account
from domain.catalogue import Change, Index, Unindex
from domain.ids import QuotaScopeId, VFolderId
from gateway.uploads.session import UploadSession


def accounts(session: UploadSession) -> list[Account]:
    """What an upload counts against."""
    scope = session.folder.scope
    owners: list[QuotaScopeId | VFolderId] = [session.folder] if scope is None else [scope, session.folder]
    return [Account(session.volume, owner) for owner in owners]


def owner_index(owner: str) -> str:
    """Name of the index of an owner's unfinished uploads."""
    return f"index:uploads-of:{owner}"


def is_counted_as(session: UploadSession, member: str) -> bool:
    """Whether an upload that is not finished is a member of an index by this."""
    return member in (session.id, _member(session))


def reserving(session: UploadSession) -> list[Change]:
    """Count an upload with its `reserved_bytes`; also where nothing is limited: a limit may be set meanwhile."""
    return [Index(account.reserved_index, _member(session)) for account in accounts(session)]


def counted_in(session: UploadSession) -> list[Change]:
    """Count a new upload, its bytes and among those of its owner."""
    owned = [Index(owner_index(session.owner), session.id)] if session.owner else []
    return [*reserving(session), *owned]


def freed(session: UploadSession) -> list[Unindex]:
    """Count the bytes of an upload no more."""
    return [Unindex(account.reserved_index, _member(session)) for account in accounts(session)]


def counted_out(session: UploadSession) -> list[Unindex]:
    """Count an upload no more, neither its bytes nor among those of its owner."""
    changes = freed(session)
    if session.owner:
        changes.append(Unindex(owner_index(session.owner), session.id))
    return changes


def _member(session: UploadSession) -> str:
    return f"{session.id}:{session.reserved_bytes}"

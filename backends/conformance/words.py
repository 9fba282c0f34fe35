"""Names the suite uses, and its shorthands for calls."""

from __future__ import annotations

from uuid import UUID, uuid4

from backends.contract import FileAccess, Operation
from domain.ids import QuotaScopeId, ScopeKind, VFolderId
from domain.paths import RelativePath

SCOPE = QuotaScopeId(ScopeKind.USER, UUID("11111111-1111-4111-8111-111111111111"))
FOLDER = VFolderId(SCOPE, UUID("aabb0001-0000-4000-8000-000000000001"))
OTHER_SCOPE = QuotaScopeId.parse("project:22222222-2222-4222-8222-222222222222")
OTHER = VFolderId(SCOPE, UUID("aabb0002-0000-4000-8000-000000000002"))
NO_SCOPE = QuotaScopeId.parse("user:77777777-7777-4777-8777-777777777777")
SESSION = "0123456789abcdef0123456789abcdef"


def op() -> Operation:
    """A new operation."""
    return Operation(uuid4())


def path(text: str) -> RelativePath:
    """Short for parsing."""
    return RelativePath.parse(text)


async def put(files: FileAccess, name: str, data: bytes = b"x") -> None:
    """Upload a file in one go."""
    session = uuid4().hex
    await files.create_staging(session, destination=path(name), length=len(data))
    staging = await files.open_staging(session)
    await staging.append([data])
    await staging.close()
    await files.commit_staging(session, path(name))


async def make_directory(
    files: FileAccess, name: RelativePath, *, parents: bool = False, exist_ok: bool = False
) -> None:
    """Make one directory, or raise why not."""
    (failure,) = await files.make_directories([name], parents=parents, exist_ok=exist_ok)
    if failure is not None:
        raise failure


async def kept(files: FileAccess, name: str) -> bytes | None:
    """The digest kept with a file."""
    handle = await files.open_read(path(name))
    try:
        return await handle.sha256()
    finally:
        await handle.close()


async def get(files: FileAccess, name: str) -> bytes:
    """Read a whole file."""
    handle = await files.open_read(path(name))
    try:
        return await handle.read(0, handle.stat.size_bytes + 1)
    finally:
        await handle.close()


async def names(files: FileAccess, directory: str = ".") -> set[str]:
    """Names in a directory."""
    return {entry.name for entry in (await files.listing(path(directory), limit=1000)).entries}

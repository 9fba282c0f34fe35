"""Where agents find folders.

`path` is the folder's root, whatever is asked for below it: Backend.AI's manager joins the subpath to it by itself.
Where that leads is told beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from backends.contract import EntryKind, FileAccess, Volume
from backends.powers import Mount, Mountable
from domain.errors import ConflictError, NotFoundError, Subject, UnsupportedError
from domain.foreign_names import read_path
from domain.ids import VFolderId
from domain.paths import ROOT, RelativePath


@dataclass(frozen=True, slots=True)
class FoundMount:
    """A folder on the hosts that mount its volume, and a path in it."""

    root: Mount
    subpath: RelativePath
    #: Whether anything is there, and whether that is a directory.
    exists: bool
    is_directory: bool

    def details(self) -> dict[str, object]:
        """How the volume is mounted on the host that answers, and what there is at the subpath."""
        below = "" if self.subpath.is_root else f"/{self.subpath}"
        return {
            "type": self.root.kind,
            "export": self.root.source,
            "options": self.root.options,
            "subpath_path": f"{self.root.path}{below}",
            "subpath_exists": self.exists,
            "subpath_is_directory": self.is_directory,
        }


async def find_mount(volume: Volume, folder: VFolderId, subpath: str) -> FoundMount:
    """Find a folder, and look at a path in it as an agent would: links are followed.

    Raises:
        UnsupportedError: the volume cannot be mounted.
        NotFoundError: there is no such folder.
        InvalidPathError: the subpath leads out of the folder, by itself or by a link.
    """
    if not isinstance(volume, Mountable):
        raise UnsupportedError(f"backend {volume.backend} has nothing to mount", subject=Subject.VOLUME)
    path = read_path(subpath)
    root = await volume.mount(folder, ROOT)
    kind = EntryKind.DIRECTORY if path.is_root else await _kind(volume.files(folder), path)
    return FoundMount(root, path, kind is not None, kind is EntryKind.DIRECTORY)


async def _kind(files: FileAccess, path: RelativePath) -> EntryKind | None:
    """What is at a path, or at the end of the link there; None: nothing."""
    try:
        kind = (await files.stat(path)).kind
        return await _followed(files, path) if kind is EntryKind.SYMLINK else kind
    except ConflictError:
        return None
    except NotFoundError as error:
        if error.subject is not Subject.FILE:
            raise
        return None


async def _followed(files: FileAccess, link: RelativePath) -> EntryKind:
    """Whether a link leads to a directory; whatever else it leads to is OTHER. Raises NotFoundError: to nothing."""
    try:
        await files.listing(link, limit=1)
    except ConflictError:
        return EntryKind.OTHER
    return EntryKind.DIRECTORY

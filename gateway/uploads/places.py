"""Where uploads may go."""

from __future__ import annotations

from collections.abc import Mapping

from backends.contract import Volume
from domain.errors import InvalidPathError, InvalidRequestError, NotFoundError, Subject
from domain.foreign_names import read_path
from domain.ids import VolumeName
from domain.paths import RelativePath
from gateway.protocol.metadata import file_name
from gateway.tokens import CollectionClaims


def volume_of(volumes: Mapping[VolumeName, Volume], name: str) -> Volume:
    """Find a volume by the name a client gave.

    Raises:
        NotFoundError (subject volume): no such volume.
    """
    for known, volume in volumes.items():
        if known == name:
            return volume
    raise NotFoundError(name[:80], subject=Subject.VOLUME)


def upload_path(text: str, below: str | None = None) -> RelativePath:
    """Where an upload may end: a path in the folder, below a directory the request adds.

    Raises:
        InvalidPathError: the folder itself, a reserved place, or no path in it.
    """
    path = read_path(below or "") / read_path(text)
    if path.is_root or path.is_reserved:
        raise InvalidPathError("nothing can be uploaded there", subject=Subject.FILE, path=str(path))
    return path


def named_path(claims: CollectionClaims, metadata: Mapping[str, str]) -> RelativePath:
    """Where the uploader wants its file, beneath the token's directory."""
    name = file_name(metadata)
    if name is None:
        raise InvalidRequestError("filename or relativePath is required", field="Upload-Metadata")
    base = read_path(claims.relpath)
    path = upload_path(name, claims.relpath)
    if path == base or not path.is_within(base):
        raise InvalidPathError("it leads out of the token's directory", subject=Subject.FILE, path=name[:200])
    return path

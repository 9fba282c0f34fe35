"""What requests say of uploads besides their bytes, as changes of what is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

from domain.paths import RelativePath
from gateway.protocol.tus import Creation
from gateway.uploads.beginning import announced
from gateway.uploads.session import UploadSession

#: What one is recorded to have, by the names of its fields.
Said: TypeAlias = Mapping[str, object]
NOTHING_SAID: Final[Said] = {}


def intended(session: UploadSession, destination: RelativePath | None, *, unpack: bool) -> Said:
    """What an upload is to become, so that whoever finishes it knows."""
    changes: dict[str, object] = {}
    if destination not in (None, session.destination):
        changes["destination"] = destination
    if unpack and not session.unpack:
        changes["unpack"] = True
    return changes


def described(session: UploadSession, creation: Creation, sha512: str = "") -> Said:
    """What is said of an upload that was begun without a word.

    Args:
        sha512: of the whole file, if it is announced as well.

    Raises:
        InvalidRequestError: it makes no sense.
    """
    changes: dict[str, object] = {}
    sha256 = announced(creation.texts, creation.sha256)
    if creation.metadata and not session.metadata:
        changes["metadata"] = creation.metadata
    if sha256 and not session.announced_sha256:
        changes["announced_sha256"] = sha256
    if sha512 and not session.announced_sha512:
        changes["announced_sha512"] = sha512
    return changes


def with_said(session: UploadSession, said: Said) -> UploadSession:
    """An upload as it would be recorded with what was said of it."""
    changes: dict[str, Any] = dict(said)
    return replace(session, **changes)

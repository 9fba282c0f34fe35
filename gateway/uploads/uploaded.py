"""The events that tell of finished uploads; their ids follow from the uploads', so each is there once."""

from __future__ import annotations

from uuid import UUID

from domain.envelope import Envelope, wrap_event
from domain.events import ArchiveUnpacked, FileUploaded
from domain.ids import derived_id
from domain.messages import Event
from gateway.uploads.session import UploadSession


def uploaded(session: UploadSession, time: float, *, recovered: bool = False) -> Envelope:
    """What is told of a finished upload.

    Args:
        recovered: whoever put it at its place has died.
    """
    event = _unpacked(session) if session.unpack else _stored(session, recovered=recovered)
    return wrap_event(event, id=derived_id(UUID(session.id), 0), time=time)


def _unpacked(session: UploadSession) -> Event:
    assert session.destination is not None, "a part becomes no file"
    return ArchiveUnpacked(
        volume=session.volume,
        folder=session.folder,
        path=str(session.destination.parent),
        files=session.unpacked_files,
        size_bytes=session.unpacked_bytes,
        session=session.id,
    )


def _stored(session: UploadSession, *, recovered: bool) -> Event:
    return FileUploaded(
        volume=session.volume,
        folder=session.folder,
        path=str(session.destination),
        size_bytes=session.length or 0,
        replaced_bytes=session.replaced_bytes,
        session=session.id,
        sha256=session.sha256,
        recovered=recovered,
    )

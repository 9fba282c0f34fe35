"""Messages the suite sends."""

from __future__ import annotations

from uuid import UUID, uuid4

from bus.contract import Bus, Delivery, Outcome, Verdict
from domain.commands import CreateVFolder
from domain.envelope import Envelope, Reply, wrap_command, wrap_event
from domain.events import FileUploaded, VFolderCreated
from domain.ids import QuotaScopeId, ScopeKind, VFolderId, VolumeName

VOLUME = VolumeName("disk")
SCOPE = QuotaScopeId(ScopeKind.USER, UUID(int=1))


def a_folder(number: int | None = None) -> VFolderId:
    """A folder id; the same for the same number."""
    return VFolderId(SCOPE, uuid4() if number is None else UUID(int=number))


def a_command(bus: Bus, folder: VFolderId | None = None, volume: VolumeName = VOLUME) -> Envelope:
    """A command to create a folder."""
    command = CreateVFolder(folder=folder or a_folder())
    return wrap_command(command, id=bus.clock.new_id(), volume=volume, time=bus.clock.now())


def done(delivery: Delivery, **result: object) -> Outcome:
    """The outcome of a command that took effect: one event, one reply."""
    envelope = delivery.envelope
    assert envelope is not None
    event = VFolderCreated(volume=envelope.volume, folder=VFolderId.parse(envelope.key), mode=0o755)
    events = [envelope.caused(event, 0, envelope.time)]
    return Outcome(delivery, Verdict.DONE, Reply(envelope.id, result=result), events)


def an_upload(bus: Bus, folder: VFolderId, size_bytes: int) -> Envelope:
    """The event of a finished upload."""
    event = FileUploaded(volume=VOLUME, folder=folder, path="a", size_bytes=size_bytes, session=uuid4().hex)
    return wrap_event(event, id=bus.clock.new_id(), time=bus.clock.now())

"""Names the suite uses, messages it sends, and its shorthands for calls."""

from __future__ import annotations

from uuid import UUID, uuid4

import anyio

from bus.contract import Broadcasted, Bus, Delivery, Lane, Outcome, Subscription, Verdict
from bus.memo import Memo
from bus.settings import BusSettings
from domain.commands import CreateVFolder
from domain.envelope import Envelope, Failure, Reply, wrap_command, wrap_event
from domain.errors import ErrorCode, Retry
from domain.events import FileDeleted, FileUploaded, VFolderCreated
from domain.ids import QuotaScopeId, ScopeKind, VFolderId, VolumeName

VOLUME = VolumeName("disk")
SCOPE = QuotaScopeId(ScopeKind.USER, UUID(int=1))
#: Short leases, a small window and a short queue, so that the suite is quick.
SETTINGS = BusSettings(lease_seconds=0.4, upload_lease_seconds=0.4, queue_limit=40, window=8, batch=4)


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


def a_removal(bus: Bus, folder: VFolderId) -> Envelope:
    """The event of a file that was removed."""
    event = FileDeleted(volume=VOLUME, folder=folder, paths=["a"])
    return wrap_event(event, id=bus.clock.new_id(), time=bus.clock.now())


def a_dead_letter(delivery: Delivery) -> Outcome:
    """The outcome of something that can never be handled."""
    failure = Failure(ErrorCode.MALFORMED_EVENT, Retry.NEVER, "no such thing")
    return Outcome(delivery, Verdict.DEAD, Reply(delivery.id, failure), reason="poison")


def a_memo(command: Envelope) -> Memo:
    """What an owner wrote down of a command that took effect."""
    outcome = done(Delivery("0-0", command.id, command), made="restored")
    return Memo(outcome.reply, outcome.events, command.time)


async def take(bus: Bus, volume: VolumeName = VOLUME) -> Lane:
    """Own a lane, waiting for it."""
    with anyio.fail_after(10):
        while (lane := await bus.lanes.acquire(volume)) is None:
            await bus.members.wait_change(0.02)
    return lane


async def live(seconds: float) -> bool:
    """Let time pass; tells whether this process had a share of it, as one that keeps a lease has to."""
    end, longest = anyio.current_time() + seconds, SETTINGS.lease_seconds / 4
    while (now := anyio.current_time()) < end:
        await anyio.sleep(0.01)
        if anyio.current_time() - now > longest:
            return False
    return True


async def receive(lane: Lane, count: int) -> list[Delivery]:
    """So many deliveries, waiting for them."""
    found: list[Delivery] = []
    with anyio.fail_after(10):
        while len(found) < count:
            found += await lane.receive()
    return found


async def read(subscription: Subscription, count: int) -> list[Envelope]:
    """So many events, waiting for them; nothing may be missing between them."""
    seen: list[Envelope] = []
    with anyio.fail_after(5):
        async for event in subscription:
            assert isinstance(event, Broadcasted)
            seen.append(event.envelope)
            if len(seen) == count:
                break
    return seen

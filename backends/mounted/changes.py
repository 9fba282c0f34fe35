"""Changes of files that are told of, made together: what comes while others are being synced shares the next sync.

A change is a generator, run on a thread. It does what it has to do and yields what is to be told of it; when it
goes on, it is told where that was written down, durably, and everything before it with it. Where its bytes have
to be on their way to the disk first, it yields None when they are, so that others may have theirs on the way as
well before it waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from backends.contract import Tell
from backends.mounted.outbox_parts import OutboxParts
from backends.pool import Call
from backends.threads import VolumeThreads
from domain.errors import BackendUnavailableError, PenstockError
from domain.outbox import Place

T = TypeVar("T")

#: A change on its way; empty words: there is nothing to tell.
Change: TypeAlias = Generator[bytes | None, Place | None, T]

#: Changes made together, and how many such lots at once: while one waits for the disk, the next one begins.
_TOGETHER: Final = 64
_LOTS: Final = 2


def settled(tell: Tell[T] | None, result: T, sync: Callable[[], None]) -> Change[None]:
    """End a change of names: told of and durable with that, or synced by itself.

    Args:
        sync: makes it durable where nothing that is written down does.
    """
    place = yield tell.words(result) if tell is not None else b""
    if tell is not None:
        tell.place = place
    if place is None:
        sync()


def alone(change: Change[T]) -> T:
    """Make a change nobody writes down. Blocking."""
    try:
        while True:
            next(change)
    except StopIteration as ended:
        return ended.value  # type: ignore[no-any-return]  # what a generator returns has no type there


class _Making(Call[T]):
    """One change, and who waits for it."""

    def __init__(self, begin: Callable[[], Change[T]]) -> None:
        super().__init__(lambda: alone(begin()))
        self._begin = begin
        self._change: Change[T] | None = None
        #: What is to be told; None: it is not known yet, or it has ended.
        self.words: bytes | None = None
        #: Whether nothing more is to be done for it.
        self.is_done = False

    def step(self, place: Place | None = None) -> None:
        """Go on to its next yield, or its end."""
        try:
            if self._change is None:
                self._change = self._begin()
            self.words = self._change.send(place)
        except StopIteration as ended:
            self._end(ended.value, None)
        except BaseException as error:  # noqa: BLE001  raised again where it is waited for
            self._end(None, error)

    def fail(self, error: PenstockError) -> None:
        """Have it end with an error."""
        assert self._change is not None, "it has begun"
        try:
            self._change.throw(error)
        except BaseException as raised:  # noqa: BLE001  likewise
            self._end(None, raised)

    def _end(self, result: T | None, error: BaseException | None) -> None:
        self._result, self.error = result, error
        self.words, self.is_done = None, True


class Changes:
    """Makes the changes of one volume that has an outbox."""

    def __init__(self, threads: VolumeThreads, parts: OutboxParts) -> None:
        self._threads = threads
        self._parts = parts
        self._waiting: deque[_Making[Any]] = deque()
        self._lots = 0

    async def make(self, name: str, begin: Callable[[], Change[T]]) -> T:
        """Make a change. Raises as `VolumeThreads.run`, and what it raises.

        Args:
            name: what it is called where calls are counted.
        """
        self._threads.admit(len(self._waiting))
        making = _Making(begin)
        self._waiting.append(making)
        self._go_on()
        return await self._threads.outcome(making, name)

    def _go_on(self) -> None:
        while self._waiting and self._lots < _LOTS:
            count = min(len(self._waiting), _TOGETHER)
            lot = [making for making in [self._waiting.popleft() for _ in range(count)] if not making.is_dropped]
            self._lots += 1
            try:
                self._threads.begin(partial(self._make, lot), partial(self._made, lot))
            except BackendUnavailableError as error:
                for making in lot:
                    making.error = error
                self._made(lot)

    def _made(self, lot: Sequence[_Making[Any]]) -> None:
        self._lots -= 1
        for making in lot:
            if not (making.is_done or making.error):
                making.error = BackendUnavailableError("the volume is being closed")
            making.settle()
        self._go_on()

    def _make(self, lot: Sequence[_Making[Any]]) -> None:
        """Make some changes, on a thread."""
        for making in lot:
            making.step()
        for making in lot:
            while not making.is_done and making.words is None:
                making.step()
        self._tell([making for making in lot if not making.is_done])

    def _tell(self, lot: Sequence[_Making[Any]]) -> None:
        try:
            places = self._parts.put_all([making.words or b"" for making in lot])
        except PenstockError as error:
            for making in lot:
                making.fail(error)
            return
        for making, place in zip(lot, places, strict=True):
            making.step(place)
            while not making.is_done:
                making.step()

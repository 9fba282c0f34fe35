"""Changes of files that are told of, made together: what comes while others are being synced shares the next sync.

A change is a generator, run on a thread. One that prepares has bytes to bring to the disk first: it yields None
when they are on their way, so that others may have theirs on the way as well, and None again when they have
arrived. Then it does what it has to do and yields what is to be told of it; when it goes on, it is told where that
was written down, durably, and everything before it with it.

One lot is made after the other, so what is written of them is read in the order in which it was made. Two at once
would have one begin while the other waits for the disk, but are slower: their threads are in each other's way, and
each has half as many to share its sync with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from loguru import logger

from backends.contract import Tell
from backends.mounted.outbox_parts import OutboxParts
from backends.pool import Pending
from backends.threads import VolumeThreads
from domain.errors import BackendUnavailableError, PenstockError
from domain.outbox import Place

T = TypeVar("T")

#: A change on its way; empty words: there is nothing to tell.
Change: TypeAlias = Generator[bytes | None, Place | None, T]

#: Changes made together.
_TOGETHER: Final = 64
#: How often a change that prepares yields before it changes anything.
_PREPARATIONS: Final = 2


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


class _Making(Pending[T]):
    """One change, and who waits for it."""

    def __init__(self, begin: Callable[[], Change[T]], *, prepares: bool) -> None:
        super().__init__()
        self._begin = begin
        self.prepares = prepares
        self._change: Change[T] | None = None
        #: What is to be told, once that is known.
        self.words = b""
        #: Whether nothing more is to be done for it.
        self.is_done = False

    def step(self, place: Place | None = None) -> None:
        """Go on to its next yield, or its end."""
        if self.is_done:
            return
        try:
            if self._change is None:
                self._change = self._begin()
            self.words = self._change.send(place) or b""
        except StopIteration as ended:
            self._end(ended.value, None)
        except BaseException as error:  # noqa: BLE001  raised again where it is waited for
            self._end(None, error)

    def fail(self, error: BaseException) -> None:
        """Have it end with an error, unless it has ended."""
        if self.is_done:
            return
        try:
            if self._change is not None:
                self._change.throw(error)
        except BaseException as raised:  # noqa: BLE001  likewise
            self._end(None, raised)
        else:
            self._end(None, error)

    def _end(self, result: T | None, error: BaseException | None) -> None:
        self._result, self.error, self.is_done = result, error, True


class Changes:
    """Makes the changes of one volume that has an outbox."""

    def __init__(self, threads: VolumeThreads, parts: OutboxParts) -> None:
        self._threads = threads
        self._parts = parts
        self._waiting: deque[_Making[Any]] = deque()
        self._is_making = False

    async def make(self, name: str, begin: Callable[[], Change[T]], *, prepares: bool = False) -> T:
        """Make a change. Raises as `VolumeThreads.run`, and what it raises.

        Args:
            name: what it is called where calls are counted.
            prepares: it has bytes to bring to the disk before it changes anything.
        """
        self._threads.admit(len(self._waiting))
        making = _Making(begin, prepares=prepares)
        self._waiting.append(making)
        self._go_on()
        return await self._threads.outcome(making, name)

    def _go_on(self) -> None:
        while self._waiting and not self._is_making:
            count = min(len(self._waiting), _TOGETHER)
            lot = [making for making in [self._waiting.popleft() for _ in range(count)] if not making.is_dropped]
            self._is_making = True
            try:
                self._threads.begin(partial(self._make, lot), partial(self._made, lot))
            except BackendUnavailableError as error:
                for making in lot:
                    making.error = error
                self._made(lot)

    def _made(self, lot: Sequence[_Making[Any]]) -> None:
        self._is_making = False
        for making in lot:
            if not (making.is_done or making.error):
                making.error = BackendUnavailableError("the volume is being closed")
            making.settle()
        self._go_on()

    def _make(self, lot: Sequence[_Making[Any]]) -> None:
        """Make some changes, on a thread."""
        try:
            self._make_all(lot)
        except BaseException as error:  # noqa: BLE001  whoever waits for one of them hears of it
            if not isinstance(error, PenstockError):
                logger.exception("changes of files failed by a defect")
            for making in lot:
                making.fail(error)

    def _make_all(self, lot: Sequence[_Making[Any]]) -> None:
        for _ in range(_PREPARATIONS):
            for making in lot:
                if making.prepares:
                    self._step(making)
        for making in lot:
            self._step(making)
        places = self._parts.put_all([b"" if making.is_done else making.words for making in lot])
        for making, place in zip(lot, places, strict=True):
            making.step(place)

    @staticmethod
    def _step(making: _Making[Any]) -> None:
        """Go on with a change, unless nobody waits for it any more."""
        if making.is_dropped:
            making.fail(BackendUnavailableError("nobody waits for it any more"))
        else:
            making.step()

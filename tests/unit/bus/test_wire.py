"""Answers of Redis as their bytes come in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from redis import exceptions

from bus.streams.connection import Conversation
from bus.streams.wire import Wire
from domain.errors import BusBrokenError


class Transport:
    def __init__(self) -> None:
        self.protocol: Any = None
        self.written: list[bytes] = []
        self.reading = True
        self.closing = False

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_reading(self) -> bool:
        return self.reading

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class End:
    """One end of a connection."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.lost: list[Exception] = []
        self.transport = Transport()
        connection: Any = SimpleNamespace(_writer=SimpleNamespace(transport=self.transport))
        self.wire = Wire(connection, self.heard.append, self.lost.append)


@pytest.fixture
def end() -> End:
    return End()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_answers_come_whole_however_their_bytes_are_cut(end: End, size: int) -> None:
    data = b"+OK\r\n:7\r\n$5\r\nhe\r\no\r\n*2\r\n$1\r\na\r\n*1\r\n$-1\r\n"
    for start in range(0, len(data), size):
        end.transport.protocol.data_received(data[start : start + size])
    assert end.heard == [b"OK", 7, b"he\r\no", [b"a", [None]]]
    assert end.lost == []


def test_errors_are_answers_of_their_own_kind(end: End) -> None:
    end.wire.data_received(
        b"-NOSCRIPT No matching script\r\n-FENCED lane is at epoch 7\r\n-LOADING wait\r\n+OK\r\n"
    )
    kinds = [type(answer) for answer in end.heard[:3]]
    assert kinds == [exceptions.NoScriptError, exceptions.ResponseError, exceptions.BusyLoadingError]
    assert str(end.heard[1]) == "FENCED lane is at epoch 7"
    assert end.heard[3] == b"OK"
    assert end.lost == []


def test_nonsense_ends_the_connection(end: End) -> None:
    end.wire.data_received(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert end.heard == []
    assert [type(error) for error in end.lost] == [exceptions.InvalidResponse]


def test_what_the_hearer_refuses_ends_the_connection(end: End) -> None:
    def refuse(answer: Any) -> None:
        raise answer

    wire = Wire(SimpleNamespace(_writer=SimpleNamespace(transport=end.transport)), refuse, end.lost.append)  # type: ignore[arg-type]
    wire.data_received(b"-READONLY You can't write against a read only replica.\r\n+OK\r\n")
    assert [type(error) for error in end.lost] == [exceptions.ReadOnlyError]


def test_nothing_is_heard_or_said_after_the_end(end: End) -> None:
    end.wire.data_received(b"+OK\r\nnonsense\r\n")
    end.wire.data_received(b"+late\r\n")
    end.wire.write(b"x")
    end.wire.connection_lost(None)
    assert end.heard == [b"OK"]
    assert end.transport.written == []
    assert [type(error) for error in end.lost] == [exceptions.InvalidResponse]


@pytest.mark.anyio
async def test_what_nobody_hears_stays_with_redis() -> None:
    transport = Transport()
    connection: Any = SimpleNamespace(_writer=SimpleNamespace(transport=transport))
    conversation = Conversation(connection, 5)
    transport.protocol.data_received(b":1\r\n" * 999)
    assert transport.reading
    transport.protocol.data_received(b":2\r\n")
    assert not transport.reading
    assert [await conversation.hear() for _ in range(1000)] == [1] * 999 + [2]
    with anyio.move_on_after(0.05) as scope:
        await conversation.hear()
    assert scope.cancelled_caught
    assert transport.reading


@pytest.mark.anyio
async def test_silence_for_too_long_is_told() -> None:
    connection: Any = SimpleNamespace(_writer=SimpleNamespace(transport=Transport()))
    with pytest.raises(BusBrokenError, match="no answer"):
        await Conversation(connection, 0.05).ask("PING")


def test_its_end_is_told(end: End) -> None:
    end.wire.write(b"x")
    end.transport.closing = True
    end.wire.connection_lost(None)
    end.wire.write(b"y")
    end.wire.connection_lost(OSError("reset"))  # told once
    assert end.transport.written == [b"x"]
    assert [str(error) for error in end.lost] == ["the connection was closed: by the server"]


def test_why_it_ended_is_told(end: End) -> None:
    end.wire.connection_lost(OSError("reset"))
    assert [str(error) for error in end.lost] == ["the connection was closed: reset"]

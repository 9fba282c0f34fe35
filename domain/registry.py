"""Every message type there is, by name and schema version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from pydantic import ValidationError

from domain import commands, events
from domain.envelope import Envelope
from domain.errors import MalformedEventError, UnsupportedError
from domain.messages import Command, Event, Message

M = TypeVar("M", bound=Message)


def _concrete(base: type[Message]) -> Iterator[type[Message]]:
    for subclass in base.__subclasses__():
        if "type" in subclass.__dict__:
            yield subclass
        yield from _concrete(subclass)


COMMANDS: Final[Mapping[str, type[Command]]] = {
    cls.type: cls for cls in _concrete(Command) if cls.__module__ == commands.__name__ and issubclass(cls, Command)
}
EVENTS: Final[Mapping[str, type[Event]]] = {
    cls.type: cls for cls in _concrete(Event) if cls.__module__ == events.__name__ and issubclass(cls, Event)
}


def open_command(envelope: Envelope) -> Command:
    """Read the command inside an envelope.

    Raises:
        UnsupportedError: the type, or this version of it, is not known here; another member may know it.
        MalformedEventError: the body does not fit its type.
    """
    return _open(envelope, COMMANDS)


def open_event(envelope: Envelope) -> Event:
    """Read the event inside an envelope. Raises as `open_command` does."""
    return _open(envelope, EVENTS)


def _open(envelope: Envelope, known: Mapping[str, type[M]]) -> M:
    model = known.get(envelope.type)
    if model is None:
        raise UnsupportedError(f"unknown message type {envelope.type[:80]!r}")
    if envelope.schema_version > model.schema_version:
        raise UnsupportedError(
            f"{envelope.type} version {envelope.schema_version} is newer than {model.schema_version}, known here"
        )
    try:
        return model.model_validate(dict(envelope.body))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedEventError(f"{envelope.type}: {where}: {first['msg']}") from error

"""Every message type there is, by name and schema version.

A body of an older version is lifted to the present one by upcasters, one version at a time, so handlers and
readers only ever see the present form. A type or version of a later release is told apart from nonsense: somebody
else may know it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from domain import commands, events, task_commands, task_events
from domain.envelope import Envelope
from domain.errors import MalformedEventError, UnsupportedError
from domain.messages import Command, Event, Message

M = TypeVar("M", bound=Message)

#: Turns a body of one schema version into one of the next.
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


def _concrete(base: type[Message]) -> Iterator[type[Message]]:
    for subclass in base.__subclasses__():
        if "type" in subclass.__dict__:
            yield subclass
        yield from _concrete(subclass)


#: Where messages of the product are; tests have some of their own.
_MODULES: Final = {module.__name__ for module in (commands, events, task_commands, task_events)}
COMMANDS: Final[Mapping[str, type[Command]]] = {
    cls.type: cls for cls in _concrete(Command) if cls.__module__ in _MODULES and issubclass(cls, Command)
}
EVENTS: Final[Mapping[str, type[Event]]] = {
    cls.type: cls for cls in _concrete(Event) if cls.__module__ in _MODULES and issubclass(cls, Event)
}
#: (type, version) -> how to lift it by one version. There is only one version of anything so far.
UPCASTERS: Final[Mapping[tuple[str, int], Upcaster]] = {}


@dataclass(frozen=True)
class Vocabulary:
    """The messages a process knows."""

    commands: Mapping[str, type[Command]] = field(default_factory=lambda: COMMANDS)
    events: Mapping[str, type[Event]] = field(default_factory=lambda: EVENTS)
    upcasters: Mapping[tuple[str, int], Upcaster] = field(default_factory=lambda: UPCASTERS)

    def knows(self) -> Mapping[str, int]:
        """Command types, each with its newest version known here."""
        return {name: model.schema_version for name, model in self.commands.items()}

    def open_command(self, envelope: Envelope) -> Command:
        """Read the command inside an envelope.

        Raises:
            UnsupportedError: the type, or this version of it, is not known here; another member may know it.
            MalformedEventError: the body does not fit its type.
        """
        return self._open(envelope, self.commands)

    def open_event(self, envelope: Envelope) -> Event:
        """Read the event inside an envelope. Raises as `open_command` does."""
        return self._open(envelope, self.events)

    def _open(self, envelope: Envelope, known: Mapping[str, type[M]]) -> M:
        model = known.get(envelope.type)
        if model is None:
            raise UnsupportedError(f"unknown message type {envelope.type[:80]!r}")
        if envelope.schema_version > model.schema_version:
            raise UnsupportedError(
                f"{envelope.type} version {envelope.schema_version} is newer than {model.schema_version}, "
                "the newest known here"
            )
        body = self._lifted(envelope, model.schema_version)
        try:
            return model.model_validate(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise MalformedEventError(f"{envelope.type}: {where}: {first['msg']}") from error

    def _lifted(self, envelope: Envelope, version: int) -> dict[str, Any]:
        body = dict(envelope.body)
        for older in range(envelope.schema_version, version):
            upcaster = self.upcasters.get((envelope.type, older))
            if upcaster is None:
                raise MalformedEventError(f"{envelope.type}: version {older} is not understood any more")
            try:
                body = upcaster(body)
            except (LookupError, TypeError, ValueError) as error:
                raise MalformedEventError(f"{envelope.type}: version {older}: {error}") from error
        return body


#: What this release knows.
VOCABULARY: Final = Vocabulary()
open_command = VOCABULARY.open_command
open_event = VOCABULARY.open_event

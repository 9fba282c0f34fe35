"""Options that choose messages, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeVar

import click

from bus.filters import Filter

F = TypeVar("F", bound=Callable[..., Any])

_AGO: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_UNIX: Final = re.compile(r"\d+(\.\d+)?")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class When(click.ParamType):  # type: ignore[type-arg]  # generic in later releases only
    """A moment: `2h` ago, ISO 8601, or Unix seconds. Becomes a function of the present."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it."""
        if callable(value):
            return value
        if ago := _AGO.fullmatch(value):
            seconds = float(ago[1]) * _SECONDS[ago[2]]
            return lambda now: now - seconds
        try:
            moment = float(value) if _UNIX.fullmatch(value) else datetime.fromisoformat(value).timestamp()
        except ValueError:
            self.fail(f"{value!r} is no time: give `2h`, `2026-01-31T12:00:00+00:00` or Unix seconds", param, ctx)
        return lambda _: moment


def filter_options(command: F) -> F:
    """Add the options."""
    for option in (
        click.option("--until", type=When(), default=None, help="Only messages made before: `5m` ago, ISO, Unix."),
        click.option("--since", type=When(), default=None, help="Only messages made since: `2h` ago, ISO, Unix."),
        click.option("--key", default="", help="Only of this folder or quota scope."),
        click.option("--volume", default="", help="Only of this volume."),
        click.option(
            "--type", "types", multiple=True, help="Only of this type, `*` for any characters. Repeatable."
        ),
    ):
        command = option(command)
    return command


def filter_of(now: float, types: tuple[str, ...], volume: str, key: str, since: Any, until: Any) -> Filter:
    """What the options ask for."""
    return Filter(
        types=types,
        volume=volume,
        key=key,
        since=since(now) if since else 0.0,
        until=until(now) if until else 0.0,
    )

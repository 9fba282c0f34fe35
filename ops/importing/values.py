"""Values as Backend.AI's storage proxy reads them; ValueError or TypeError for what it would not take either."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from pydantic import TypeAdapter, ValidationError

_SIZE: Final = re.compile(r"(.*?)\s*([kmgtpezy]?)(?:i?b(?:ytes?)?)?", re.DOTALL)
_UNITS: Final = ("", *"kmgtpezy")
_ENDLESS: Final = ("inf", "infinite", "infinity")
#: The largest file any file system could have.
_MOST_BYTES: Final = (1 << 63) - 1
_SPAN: Final = re.compile(r"(.*?)(yr|mo|[wdhms]|)", re.DOTALL)
_DAY: Final = 86400.0
#: Months and years are by the calendar there; here they have these lengths.
CALENDAR: Final = {"mo": 30 * _DAY, "yr": 365 * _DAY}
_SECONDS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": _DAY, "w": 7 * _DAY}
#: Longer ones cannot be said there.
_LONGEST: Final = 999_999_999 * _DAY
_LEVELS: Final = {"NOTSET": "DEBUG", "CRITICAL": "ERROR"}
#: For a listing without end.
_ALL_ENTRIES: Final = 10_000_000
_SWITCH: Final = TypeAdapter(bool)


def size_of(value: object) -> int:
    """A size in bytes: `100g` is 100 GiB."""
    text = str(value).strip().replace("_", "").lower()
    if text in _ENDLESS:
        return _MOST_BYTES
    try:
        size = _size(text)
    except (ArithmeticError, ValueError) as error:
        raise ValueError(f"not a size: {value!r}") from error
    if not size >= 0:
        raise ValueError(f"not a size: {value!r}")
    return int(min(size, Decimal(_MOST_BYTES)))


def _size(text: str) -> Decimal:
    match = _SIZE.fullmatch(text)
    assert match is not None
    return Decimal(match[1]) * Decimal(1024) ** _UNITS.index(match[2])


def span_of(value: object) -> float:
    """A duration in seconds: a number of them, or a text such as `24h`, `1d`, `1mo`, `1yr`."""
    try:
        seconds = _span(value)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"not a duration: {value!r}") from error
    if not seconds <= _LONGEST:
        raise ValueError(f"too long: {value!r}")
    return seconds


def _span(value: object) -> float:
    if isinstance(value, int | float):
        return float(value)
    match = _SPAN.fullmatch(str(value))
    assert match is not None
    number, unit = match.groups()
    # Parts of a month or a year have no length by the calendar.
    seconds = int(number) * CALENDAR[unit] if unit in CALENDAR else float(number) * _SECONDS[unit]
    if seconds < 0:
        raise ValueError("negative")
    return seconds


def address_of(value: object) -> tuple[str, int]:
    """A host and a port: a table of both, a list of both, or `host:port`."""
    match value:
        case str():
            host, colon, port = value.rpartition(":")
            if not colon:
                raise ValueError(f"an address is `host:port`, not {value!r}")
            found: tuple[object, object] = (host, port)
        case Mapping() if value.keys() >= {"host", "port"}:
            found = (value["host"], value["port"])
        case [host, port]:
            found = (host, port)
        case _:
            raise ValueError("an address has a host and a port")
    number = int(str(found[1]))
    if not 1 <= number <= 65535:
        raise ValueError(f"not a port: {number}")
    return str(found[0]).strip("[]"), number


def switch_of(value: object) -> bool:
    """Whether something is switched on."""
    try:
        return _SWITCH.validate_python(value)
    except ValidationError as error:
        raise ValueError(f"neither true nor false: {value!r}") from error


def plain_text(value: object) -> str:
    """A text; what else it is may be a secret, and is not told."""
    if not isinstance(value, str):
        raise TypeError("must be a text")
    return value


def level_of(value: object) -> str:
    """The least important level that is told."""
    level = str(value).upper()
    return _LEVELS.get(level, level)


def entries_of(value: object) -> int:
    """How many entries a listing shows; 0 is all of them."""
    return int(str(value)) or _ALL_ENTRIES


def processes_of(value: object) -> int:
    """How many processes serve."""
    return int(str(value))

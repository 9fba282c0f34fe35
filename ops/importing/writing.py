"""Writes what was found: the settings, and the secrets in a file that only its owner can read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from domain.errors import InvalidRequestError
from ops.importing.found import Imported, Key, LeftOut
from ops.importing.secret_places import Place, place_of
from ops.importing.toml import dotted, quoted, table

#: By the key of `[gateway]`, the name of its line in the file of secrets.
_LINES: Final = {"manager_secret": "MANAGER_SECRET", "token_secret": "TOKEN_SECRET"}
_ANYBODY: Final = 0o666
_OWNER: Final = 0o600


def write_settings(found: Imported, settings: Path) -> Path | None:
    """Write the settings, and beside them the file of secrets; returns the latter, None if it was not needed.

    A secret that a line of that file cannot hold stands in the settings, which then are for their owner only.

    Raises:
        InvalidRequestError: one of the files is there, or cannot be written.
    """
    beside = _beside(settings)
    lines = {key: value for key, value in found.secrets.items() if place_of(value) is Place.LINE}
    values = found.values | {("gateway", key): value for key, value in found.secrets.items()}
    values |= {("gateway", key): f"file:{beside.name}#{_LINES[key]}" for key in lines}
    for path in (settings, beside):
        if path.exists():
            raise InvalidRequestError(f"{path} is there already")
    if lines:
        _write_new(beside, "".join(f"{_LINES[key]}={value}\n" for key, value in lines.items()), _OWNER)
    try:
        _write_new(
            settings, _text(values, found.left_out), _ANYBODY if lines.keys() == found.secrets.keys() else _OWNER
        )
    except InvalidRequestError:
        if lines:
            beside.unlink()
        raise
    return beside if lines else None


def _beside(settings: Path) -> Path:
    """The file of secrets; a `#` would end its name where it is referred to."""
    name = f"{settings.stem.replace('#', '-')}.secrets"
    return settings.with_name(name if name != settings.name else f"{name}.env")


def _write_new(path: Path, text: str, mode: int) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with open(fd, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except OSError:
            path.unlink()
            raise
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be written: {error.strerror}") from error


def _text(values: dict[Key, object], left_out: list[LeftOut]) -> str:
    tables: dict[Key, dict[str, object]] = {}
    for key, value in values.items():
        tables.setdefault(key[:-1], {})[key[-1]] = value
    blocks = [table(names, content) for names, content in tables.items()]
    return "\n\n".join([*blocks, *("\n".join(_comment(volume)) for volume in left_out)]) + "\n"


def _comment(volume: LeftOut) -> Iterator[str]:
    yield f"# This volume was left out: {volume.why}."
    yield f"# [{dotted(('volumes', volume.name))}]"
    yield f"# backend = {quoted(volume.backend)}"
    if volume.path is not None:
        yield f"# path = {quoted(str(volume.path))}"

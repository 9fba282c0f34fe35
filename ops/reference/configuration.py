"""The page docs/configuration.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from backends.registry import driver, drivers
from backends.settings import VolumeSettings
from ops.reference.keys import Key, Section, sections, toml_value
from ops.settings import Settings

_HEAD: Final = """\
# Configuration

<!-- Written by `make docs` from the settings' models. Do not edit. -->

Settings are read from a TOML file (`--config FILE`, or `PENSTOCK_CONFIG=FILE`) and overlaid by the environment:
`PENSTOCK__<SECTION>__<KEY>`, for example `PENSTOCK__BUS__URL` or `PENSTOCK__VOLUMES__LOCAL__PATH`. An unknown key
is an error, so a misspelt one is found at the start. `penstock doctor` checks what the settings point at. No length
of time may be longer than 1,000,000,000 seconds, which is as good as for ever.

`configs/standalone.toml` and `configs/cluster.toml` show every key with its default; `configs/penstock.schema.json`
is the JSON schema of the file, for editors.

A secret may be written as `file:PATH` (the text of a file), `file:PATH#NAME` (the line `NAME=...` of it) or
`env:NAME` (a variable of the environment). Relative paths are relative to the settings file.

`penstock serve` adds what the file does not say: secrets it generated, an embedded server as `bus.url`, and one
volume `local` in its data directory.
"""
_VOLUME: Final = "One table for each volume. The keys of its driver stand beside these."


def configuration_page() -> str:
    """Every key with its type, default and meaning."""
    parts = [_HEAD, *map(_table, sections(Settings, about=" ")), *_volumes()]
    return "\n".join(part for part in parts if part)


def _volumes() -> Iterator[str]:
    for section in sections(VolumeSettings, ("volumes", "<name>"), _VOLUME):
        yield _table(section)
    for name in drivers():
        found = driver(name)
        yield f"### Keys of the driver `{name}`\n"
        yield _rows(next(sections(found.settings)).keys)


def _table(section: Section) -> str:
    if not section.keys:
        return ""
    title = f"## `[{section.name}]`\n\n{section.description}\n\n" if section.path else ""
    return title + _rows(section.keys)


def _rows(keys: list[Key]) -> str:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|", *map(_row, keys)]
    return "\n".join(lines) + "\n"


def _row(key: Key) -> str:
    default = "**required**" if key.required else "none" if key.default is None else f"`{toml_value(key.default)}`"
    cells = (f"`{key.name}`", key.kind, default, key.description)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

"""The sample settings files: every key, those that differ from the default set, the others commented out."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from backends.registry import driver
from backends.settings import VolumeSettings
from ops.reference.keys import Key, Section, sections, toml_value
from ops.settings import Settings

_WIDTH: Final = 110


@dataclass(frozen=True, slots=True)
class Sample:
    """One file: what it is for, and what it sets. A key set to None stays a comment with its reason in `notes`."""

    about: str
    sets: Mapping[str, Any]
    #: Volumes by name: driver and its keys; none when `penstock serve` adds one.
    volumes: Mapping[str, Mapping[str, Any]]
    notes: Mapping[str, str]


_SERVE_ADDS: Final = "`penstock serve` generates one; set it to use your own."

STANDALONE: Final = Sample(
    about="""Everything on one machine: `make run`, or `penstock serve --config configs/standalone.toml`.

        What is commented out shows the default. `penstock serve` starts a Redis-compatible server of its own,
        generates the secrets and makes a volume `local` in its data directory, unless they are set here.""",
    sets={"log.format": "text"},
    volumes={},
    notes={
        "bus.url": "`penstock serve` starts a server of its own and sets this; set it to use yours.",
        "gateway.manager_secret": _SERVE_ADDS,
        "gateway.token_secret": _SERVE_ADDS,
    },
)

CLUSTER: Final = Sample(
    about="""Roles apart, on one machine or several: `penstock gateway`, `penstock actor`, `penstock worker`, all
        with this file, against one Redis (6.2 or later, `appendonly yes`, `maxmemory-policy noeviction`).

        What is commented out shows the default. The environment gives the secrets and Redis's address.""",
    sets={
        "bus.url": "env:PENSTOCK_REDIS_URL",
        "gateway.manager_secret": "env:PENSTOCK_MANAGER_SECRET",
        "gateway.token_secret": "env:PENSTOCK_TOKEN_SECRET",
        "gateway.processes": 2,
        "gateway.client.host": "0.0.0.0",  # noqa: S104  other machines are the point
        "gateway.manager.host": "0.0.0.0",  # noqa: S104
        "internal.gateway.host": "0.0.0.0",  # noqa: S104
        "internal.actor.host": "0.0.0.0",  # noqa: S104
        "internal.worker.host": "0.0.0.0",  # noqa: S104
        "internal.bridge.host": "0.0.0.0",  # noqa: S104
    },
    volumes={"data": {"backend": "vfs", "path": "/volumes/data"}},
    notes={},
)


def sample_toml(sample: Sample) -> str:
    """The text of one file."""
    parts = ["#:schema ./penstock.schema.json", _comment(sample.about), ""]
    for section in sections(Settings, about=" "):
        if section.path and section.keys:
            parts += _section(section, sample)
    volumes = sample.volumes or {"local": {"backend": "vfs", "path": "/path/to/a/directory"}}
    for name, keys in volumes.items():
        parts += _volume(name, keys, live=bool(sample.volumes))
    return "\n".join(parts).rstrip() + "\n"


def _section(section: Section, sample: Sample) -> Iterator[str]:
    yield from (_comment(section.description), f"[{section.name}]")
    for key in section.keys:
        path = f"{section.name}.{key.name}"
        yield from _key(key, sample.sets.get(path), sample.notes.get(path, ""))


def _key(key: Key, value: Any, note: str) -> Iterator[str]:
    kind = f"{key.kind}, required" if key.required else key.kind
    yield _comment(f"{key.description} ({kind})")
    if note:
        yield _comment(note)
    if value is not None:
        yield f"{key.name} = {toml_value(value)}"
    else:
        yield f"# {key.name} = {toml_value('' if key.default is None else key.default)}"
    yield ""


def _volume(name: str, keys: Mapping[str, Any], *, live: bool) -> Iterator[str]:
    mark = "" if live else "# "
    described = {
        key.name: key
        for key in [*next(sections(VolumeSettings)).keys, *next(sections(driver(keys["backend"]).settings)).keys]
    }
    yield _comment("One table for each volume, `[volumes.<name>]`.")
    yield f"{mark}[volumes.{name}]"
    for option, value in keys.items():
        yield _comment(f"{described[option].description} ({described[option].kind})")
        yield f"{mark}{option} = {toml_value(value)}"
    yield ""
    for section in list(sections(VolumeSettings, ("volumes", name)))[1:]:
        yield from (_comment(section.description), f"{mark}[{section.name}]")
        for key in section.keys:
            yield from _key(key, None, "")


def _comment(text: str) -> str:
    paragraphs = (textwrap.wrap(" ".join(part.split()), _WIDTH - 2) for part in text.split("\n\n"))
    lines = [line for paragraph in paragraphs for line in (*paragraph, "")]
    return "\n".join(f"# {line}".rstrip() for line in lines[:-1])

"""The settings of all rooms together: read from TOML, overlaid by the environment.

Environment: `PENSTOCK__<SECTION>__<KEY>`, e.g. `PENSTOCK__BUS__URL` or `PENSTOCK__VOLUMES__LOCAL__PATH`.
A secret may be written as `file:PATH` (the file's text), `file:PATH#NAME` (the line `NAME=...` of it) or
`env:NAME`; relative paths are relative to the settings file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from actors.settings import ActorSettings
from backends.settings import VolumeSettings
from bus.backendai.settings import BackendAiSettings
from bus.settings import BusSettings
from domain.errors import InvalidRequestError, NotFoundError, Subject
from domain.ids import VolumeName
from gateway.settings import GatewaySettings, Listen, tcp_port

#: Settings that may be given as a reference to a file or the environment.
_SECRETS: Final = (
    ("bus", "url"),
    ("worker", "url"),
    ("gateway", "manager_secret"),
    ("gateway", "manager_secrets_old"),
    ("gateway", "token_secret"),
    ("gateway", "token_secrets_old"),
    ("backendai", "url"),
)


class WorkerSettings(BaseModel):
    """Processes that do long jobs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr | None = Field(
        None,
        description="Redis of the job queue; absent: the bus's Redis, the database behind the bus's. "
        "Keep it apart from the bus's database: the queue scans keys",
    )
    threads: int = Field(4, ge=1, le=64, description="jobs one worker process does at once")


class LogSettings(BaseModel):
    """What is logged, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: str = Field(
        "INFO", pattern="^(TRACE|DEBUG|INFO|WARNING|ERROR)$", description="least important level told"
    )
    format: str = Field(
        "json", pattern="^(json|text)$", description="`json`: one object a line, for collectors; `text`: for people"
    )


class GatewayListen(Listen):
    """Where gateway processes answer about themselves."""

    port: int = tcp_port(16023)


class ActorListen(Listen):
    """Where actor processes answer about themselves."""

    port: int = tcp_port(16024)


class WorkerListen(Listen):
    """Where worker processes answer about themselves."""

    port: int = tcp_port(16025)


class BridgeListen(Listen):
    """Where bridge processes answer about themselves."""

    port: int = tcp_port(16026)


class InternalSettings(BaseModel):
    """Where each kind of process answers about itself: /metrics, /livez, /readyz, /health."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gateway: GatewayListen = Field(default_factory=GatewayListen, description="of gateway processes")
    actor: ActorListen = Field(default_factory=ActorListen, description="of actor processes")
    worker: WorkerListen = Field(default_factory=WorkerListen, description="of worker processes")
    bridge: BridgeListen = Field(default_factory=BridgeListen, description="of bridge processes")


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="PENSTOCK__", env_nested_delimiter="__", extra="forbid", frozen=True
    )
    base: ClassVar[Path] = Path()

    bus: BusSettings = Field(default_factory=BusSettings)
    gateway: GatewaySettings
    actors: ActorSettings = Field(default_factory=ActorSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    volumes: dict[VolumeName, VolumeSettings] = Field(
        min_length=1, description="volumes by name; `backend` names the driver, the other keys are the driver's"
    )
    backendai: BackendAiSettings = Field(default_factory=BackendAiSettings)
    internal: InternalSettings = Field(default_factory=InternalSettings)
    log: LogSettings = Field(default_factory=LogSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before the file."""
        return (env_settings, TomlConfigSettingsSource(settings_cls))

    def chosen(self, volume: VolumeName | None) -> dict[VolumeName, VolumeSettings]:
        """The volume of a name, or all of them. Raises NotFoundError if none is called so."""
        if volume is not None and volume not in self.volumes:
            raise NotFoundError(f"no volume {volume} is configured", subject=Subject.VOLUME)
        return {name: found for name, found in self.volumes.items() if volume in (None, name)}

    @model_validator(mode="before")
    @classmethod
    def _resolve_secrets(cls, values: Any) -> Any:
        for section, key in _SECRETS:
            found = values.get(section) if isinstance(values, Mapping) else None
            if isinstance(found, Mapping) and key in found:
                try:
                    told = _resolved(found[key], cls.base)
                except ValueError as error:
                    raise ValueError(f"{section}.{key}: {error}") from error
                values = {**values, section: {**found, key: told}}
        return values


def load_settings(path: Path | None) -> Settings:
    """Read a settings file and the environment.

    Raises:
        InvalidRequestError: the file is missing or wrong; the message names each wrong key, never a value.
    """
    if path is not None and not path.is_file():
        raise InvalidRequestError(f"there is no settings file {path}")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=path)
        base = path.parent if path else Path()

    try:
        return FromFile()
    except ValidationError as error:
        items = error.errors(include_url=False, include_input=False)
        told = "; ".join(": ".join(filter(None, (".".join(map(str, item["loc"])), item["msg"]))) for item in items)
        raise InvalidRequestError(f"the settings are wrong: {told}") from error
    except ValueError as error:
        raise InvalidRequestError(f"{path} is no valid TOML: {error}") from error


def _resolved(value: object, base: Path) -> object:
    if isinstance(value, list):
        return [_resolved(item, base) for item in value]
    return resolve_secret(value, base) if isinstance(value, str) else value


def resolve_secret(text: str, base: Path) -> str:
    """Follow a reference to a file or the environment; other text is the secret itself.

    Raises:
        ValueError: the reference leads nowhere.
    """
    kind, _, rest = text.partition(":")
    if kind == "env":
        if rest not in os.environ:
            raise ValueError(f"the environment has no {rest}")
        return os.environ[rest]
    if kind != "file":
        return text
    name, _, key = rest.partition("#")
    try:
        content = (base / name).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"cannot read the secret in {name}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ValueError(f"the secret in {name} is no UTF-8") from None  # the error has the secret's bytes
    if not key:
        return content.strip()
    for line in content.splitlines():
        found, equals, value = line.partition("=")
        if equals and found.strip() == key:
            return value.strip()
    raise ValueError(f"{name} has no line {key}=")

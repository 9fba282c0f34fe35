"""What can be set about the bridge to Backend.AI."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from bus.backendai.programs import MOUNT_NAMES, UNMOUNT_NAMES, check_program
from bus.settings import BusSettings
from domain.bounds import Seconds
from domain.errors import InvalidRequestError

_FORMS: Final = (
    "it must be redis://, rediss:// or unix:// with user, password and a database number, or "
    "redis+sentinel:// or rediss+sentinel:// with host:port,host:port/service/number"
)


class BackendAiSettings(BaseModel):
    """Events for Backend.AI's manager; `penstock bridge` carries them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr | None = Field(
        None,
        description="Redis of Backend.AI's event streams, usually its database 4; redis://, rediss://, unix:// or "
        "redis+sentinel:// as in `bus.url`; may be given as `file:PATH#NAME` or `env:NAME`; absent: there is no "
        "bridge",
    )
    source: str = Field(
        "penstock", min_length=1, max_length=255, description="whom events come from, and the name of this node"
    )
    mount_program: list[str] = Field(
        default_factory=list,
        description="program that mounts what `do_volume_mount` asks for, with its arguments; `{path}`, "
        "`{location}`, `{type}`, `{options}`, `{scope}` (the quota scope), `{edit_fstab}` (`true` or `false`) and "
        "`{fstab_path}` stand for what is asked, `{{` and `}}` for braces; not run where something is mounted "
        "already; several may run at once, each for another directory; empty: it has to be",
    )
    unmount_program: list[str] = Field(
        default_factory=list,
        description="program that unmounts what `do_volume_unmount` asks for, likewise; `{path}`, `{scope}`, "
        "`{edit_fstab}` and `{fstab_path}`",
    )
    mount_seconds: Seconds = Field(60.0, gt=0, description="how long these programs may take, in seconds")

    @field_validator("url")
    @classmethod
    def _leads_to_redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not _is_redis(url.get_secret_value()):
            raise ValueError(_FORMS)
        return url

    @field_validator("mount_program")
    @classmethod
    def _mounts(cls, program: list[str]) -> list[str]:
        check_program(program, MOUNT_NAMES)
        return program

    @field_validator("unmount_program")
    @classmethod
    def _unmounts(cls, program: list[str]) -> list[str]:
        check_program(program, UNMOUNT_NAMES)
        return program

    def reached_by(self, bus: BusSettings) -> BusSettings | None:
        """How Backend.AI's Redis is reached: as the bus's, at its own place; None: there is no bridge."""
        return None if self.url is None else bus.model_copy(update={"url": self.url})


def _is_redis(url: str) -> bool:
    # Late: most commands read settings and never talk to Redis.
    from redis.asyncio import ConnectionPool

    from bus.streams.server import Server

    try:
        if Server.parse(url).sentinels is None:
            # Not connected; but what it is made of is all read.
            ConnectionPool.from_url(url).make_connection()  # type: ignore[no-untyped-call]
        path = urlsplit(url).path.strip("/")
    except (InvalidRequestError, ValueError, TypeError):
        return False
    # redis-py takes the first database where it cannot read the number.
    return not url.startswith(("redis:", "rediss:")) or path.isdigit() or not path

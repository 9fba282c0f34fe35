"""What can be set about the bridge to Backend.AI."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class BackendAiSettings(BaseModel):
    """Events for Backend.AI's manager; `penstock bridge` carries them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr | None = Field(
        None,
        description="Redis of Backend.AI's event streams, usually its database 4; may be given as "
        "`file:PATH#NAME` or `env:NAME`; absent: there is no bridge",
    )
    source: str = Field(
        "penstock", min_length=1, max_length=255, description="whom events come from, and the name of this node"
    )
    mount_program: list[str] = Field(
        default_factory=list,
        description="program that mounts what `do_volume_mount` asks for, with its arguments; `{path}`, "
        "`{location}`, `{type}` and `{options}` stand for what is asked; empty: it has to be mounted already",
    )
    unmount_program: list[str] = Field(
        default_factory=list, description="program that unmounts what `do_volume_unmount` asks for; `{path}`"
    )
    mount_seconds: float = Field(60.0, gt=0, description="how long these programs may take, in seconds")

"""Who is there, and how what it depends on is."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from gateway.openapi.answers.answer import Answer


class ManagerStatus(Answer):
    """The manager's port, as Backend.AI tells it."""

    status: Literal["ok"]
    type: Literal["manager-facing"]
    version: str = Field(alias="storage-proxy", description="version of the server")


class ClientStatus(Answer):
    """The clients' port, as Backend.AI tells it."""

    status: Literal["ok"]
    type: Literal["client-facing"]
    version: str = Field(alias="storage-proxy", description="version of the server")


class HealthCheck(Answer):
    """One thing this process depends on."""

    service_group: Literal["redis", "volume"]
    component_id: str = Field(description="`bus`, or the name of a volume")
    is_healthy: bool
    last_checked_at: datetime
    error_message: str | None = Field(description="what is wrong; null: nothing")


class Connectivity(Answer):
    """All this process depends on."""

    overall_healthy: bool
    connectivity_checks: list[HealthCheck]
    timestamp: datetime


class ProcessHealth(Answer):
    """How this process is."""

    status: Literal["ok", "degraded"]
    version: str
    component: Literal["storage-proxy"]
    connectivity: Connectivity


class Done(Answer):
    """It is done."""

    status: Literal["ok"]


class Document(Answer):
    """A document like this one."""

    openapi: str = Field(description="version of OpenAPI")
    info: dict[str, object]
    paths: dict[str, object]
    components: dict[str, object]

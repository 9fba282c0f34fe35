"""What can be set about actors."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from domain.bounds import Seconds
from domain.registry import COMMANDS


def _command(name: str) -> str:
    if name not in COMMANDS:
        raise ValueError(f"{name} is no type of a command")
    return name


class ActorSettings(BaseModel):
    """How an actor process handles commands."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parallel: int = Field(8, ge=1, le=256, description="commands of one volume handled at once, of different keys")
    attempts: int = Field(8, ge=1, description="tries of a command on a storage that fails for the moment")
    handler_seconds: Seconds = Field(
        600.0, gt=0, description="longest time one try of a command may take before it counts as failed, in seconds"
    )
    crash_limit: int = Field(
        4, ge=2, description="owners that may die in a row over the same command before it is set aside"
    )
    quarantine: tuple[Annotated[str, AfterValidator(_command)], ...] = Field(
        (),
        description="command types after whose failure for good later commands of the same folder or scope wait "
        "until an operator has dealt with it",
    )
    backoff_seconds: Seconds = Field(
        0.2, gt=0, description="longest pause after the first failed try, in seconds; doubles with each"
    )
    backoff_limit_seconds: Seconds = Field(60.0, gt=0, description="longest pause between two tries, in seconds")
    drain_seconds: Seconds = Field(
        10.0, ge=0, description="how long running commands may take to end when the process stops, in seconds"
    )
    usage_max_age_seconds: Seconds = Field(
        300.0, ge=0, description="age of a folder's usage at which it is counted anew to judge a quota, in seconds"
    )
    purge_interval_seconds: Seconds = Field(
        60.0, gt=0, description="how often the trash is looked through for what still has to be purged, in seconds"
    )
    jobs_at_once: int = Field(
        4, ge=1, le=64, description="jobs of one volume done at once; whoever has the fewest is served first"
    )
    trash_seconds: Seconds = Field(
        0.0,
        ge=0,
        description="how long a deleted folder can be restored before it is purged, in seconds; 0: it is purged at "
        "once, as Backend.AI's manager has a trash of its own",
    )
    scan_seconds: Seconds = Field(
        3600.0,
        ge=0,
        description="how often it is counted what folders hold, in seconds; directories that have not changed are "
        "not read again; 0: never",
    )
    full_scan_seconds: Seconds = Field(
        12 * 3600.0,
        ge=0,
        description="how often all directories are read for that, in seconds: what was written in place on a mount "
        "does not show otherwise; 0: never",
    )
    alert_percents: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (80, 90, 100), description="parts of a limit, in percent, at which an event tells that so much is used"
    )
    alert_interval_seconds: Seconds = Field(
        30.0, gt=0, description="how often it is looked how much of their limits scopes and folders use, in seconds"
    )
    soft_quota_seconds: Seconds = Field(
        7 * 24 * 3600.0, ge=0, description="how long a soft limit may be passed before it holds, in seconds"
    )
    task_seconds: Seconds = Field(
        24 * 3600.0, ge=0, description="how long a task can still be asked about when it is over, in seconds"
    )
    trim_interval_seconds: Seconds = Field(
        60.0, gt=0, description="how often old commands and events are removed from their streams, in seconds"
    )

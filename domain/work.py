"""What workers can be asked to do with a folder or a volume, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from domain.errors import InvalidRequestError
from domain.ids import VFolderId
from domain.tasks import TaskKind


class WorkOptions(BaseModel):
    """How something is done."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Whether it can be done with one folder as well as with all of a volume.
    one_folder: ClassVar[bool] = True


class ScanOptions(WorkOptions):
    """`usage.scan`: count what folders hold, and write it down."""

    full: bool = Field(False, description="look at every file, also where a directory has not changed")


class InspectOptions(WorkOptions):
    """`volume.inspect`: find what belongs to nothing."""

    one_folder: ClassVar[bool] = False

    repair: bool = Field(False, description="not only tell what is found, but put it right")
    age_seconds: float = Field(
        24 * 3600.0, ge=0, description="what was changed in this time, in seconds, may still be somebody's"
    )


class ScrubOptions(WorkOptions):
    """`files.scrub`: read files and compare them with their digests."""

    keep: bool = Field(False, description="keep digests of files that have none")


class PruneOptions(WorkOptions):
    """`snapshots.prune`: drop old snapshots."""

    keep_last: int = Field(ge=0, le=100_000, description="how many snapshots of each folder stay, the newest ones")


OPTIONS: Final[Mapping[TaskKind, type[WorkOptions]]] = {
    TaskKind.SCAN: ScanOptions,
    TaskKind.INSPECT: InspectOptions,
    TaskKind.SCRUB: ScrubOptions,
    TaskKind.PRUNE: PruneOptions,
}


def read_options(kind: TaskKind, options: Mapping[str, JsonValue], folder: VFolderId | None) -> WorkOptions:
    """Check options of a kind of task.

    Raises:
        InvalidRequestError: it is begun by a command of its own, or does not take these, or not a folder.
    """
    model = OPTIONS.get(kind)
    if model is None:
        raise InvalidRequestError(f"{kind} is begun in another way", field="kind")
    if folder is not None and not model.one_folder:
        raise InvalidRequestError(f"{kind} is done with all of a volume", field="vfid")
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise InvalidRequestError(str(first["msg"]), field=f"options.{name}") from error

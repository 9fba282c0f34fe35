"""`penstock tasks`: what goes on in the background."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from uuid import UUID

import click
from pydantic import JsonValue

from domain.ids import VFolderId, VolumeName
from domain.task_commands import StartTask
from domain.tasks import TaskKind, TaskRecord, TaskState
from domain.work import OPTIONS
from ops.cli.main import main
from ops.cli.options import config_option, json_option, print_found, run, settings_of


@main.group()
def tasks() -> None:
    """Have something done in the background, look at what goes on, end it."""


@tasks.command("ls")
@config_option
@json_option
@click.option("--volume", type=VolumeName, default=None, help="Only tasks of this volume.")
def list_command(config: Path | None, volume: VolumeName | None, *, as_json: bool) -> None:
    """List tasks, those that ended lately as well."""
    from ops.tasks import task_rows

    print_found(partial(task_rows, settings_of(config), volume), as_json=as_json)


@tasks.command("cancel")
@config_option
@click.argument("task", type=UUID)
def cancel_command(config: Path | None, task: UUID) -> None:
    """Have a task end before it is done; nothing of a clone stays."""
    from ops.tasks import cancel_task

    run(partial(cancel_task, settings_of(config), task))
    click.echo(f"{task} is asked to end")


@tasks.command("start")
@config_option
@json_option
@click.argument("kind", type=click.Choice([kind.value for kind in OPTIONS]))
@click.option("--volume", type=VolumeName, required=True, help="Volume it is done with.")
@click.option("--folder", type=VFolderId.parse, default=None, help="Only this folder of it.")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="How it is done; may be repeated.")
@click.option("--wait", is_flag=True, help="Wait until it is over, and tell what was found.")
def start_command(
    config: Path | None,
    kind: str,
    volume: VolumeName,
    folder: VFolderId | None,
    options: tuple[str, ...],
    *,
    as_json: bool,
    wait: bool,
) -> None:
    """Have something done with a folder, or all of a volume.

    usage.scan counts what folders hold (full=true: every file anew); volume.inspect finds what belongs to nothing
    (repair=true: and puts it right; age_seconds=N); files.scrub compares files with their digests (keep=true: and
    keeps digests of files that have none); snapshots.prune drops old snapshots (keep_last=N).
    """
    from ops.console import print_rows
    from ops.tasks import start_task, task_outcome

    command = StartTask(kind=TaskKind(kind), folder=folder, options=_read(options))
    show = _show_progress if wait and sys.stderr.isatty() else (lambda _: None) if wait else None
    found = run(partial(start_task, settings_of(config), volume, command, show))
    print_rows(task_outcome(found), as_json=as_json)
    if found.state in (TaskState.FAILED, TaskState.CANCELLED):
        sys.exit(1)


def _read(options: tuple[str, ...]) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise click.BadParameter(f"{option}: is not NAME=VALUE", param_hint="--option")
        with suppress(ValueError):
            found[name] = json.loads(value)
            continue
        found[name] = value
    return found


def _show_progress(task: TaskRecord) -> None:
    click.echo(f"\r{task.items} entries, {task.size_bytes} bytes", nl=False, err=True)

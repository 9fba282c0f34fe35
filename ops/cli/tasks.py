"""`penstock tasks`: what goes on in the background."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from uuid import UUID

import click

from domain.ids import VolumeName
from ops.cli.main import main
from ops.cli.options import config_option, json_option, print_found, run, settings_of


@main.group()
def tasks() -> None:
    """Look at clones and deletions that go on, and end them."""


@tasks.command("ls")
@config_option
@json_option
@click.option("--volume", type=VolumeName, default=None, help="Only tasks of this volume.")
def list_command(config: Path | None, volume: VolumeName | None, *, as_json: bool) -> None:
    """List tasks, those that ended lately as well."""
    from ops.operate import task_rows

    print_found(partial(task_rows, settings_of(config), volume), as_json=as_json)


@tasks.command("cancel")
@config_option
@click.argument("task", type=UUID)
def cancel_command(config: Path | None, task: UUID) -> None:
    """Have a clone end before it is done; nothing of it stays."""
    from ops.operate import cancel_task

    run(partial(cancel_task, settings_of(config), task))
    click.echo(f"{task} is asked to end")

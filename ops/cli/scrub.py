"""`penstock scrub`: files that are damaged, or cannot be read."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from domain.ids import VFolderId, VolumeName
from ops.cli.main import main
from ops.cli.options import config_option, json_option, run, settings_of

#: Exit code where something is damaged, or cannot be read.
_DAMAGED = 3


@main.command("scrub")
@config_option
@json_option
@click.option("--volume", type=VolumeName, default=None, help="Only this volume.")
@click.option("--folder", type=VFolderId.parse, default=None, help="Only this folder.")
@click.option("--keep", is_flag=True, help="Keep digests of files that have none.")
@click.option("--quiet", is_flag=True, help="Publish no events.")
def scrub_command(
    config: Path | None,
    volume: VolumeName | None,
    folder: VFolderId | None,
    *,
    keep: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Read every file whose digest was kept, and tell which are damaged.

    What cannot be read is told as well. Exit code 3: there is at least one of either.
    """
    from ops.console import Lines
    from ops.operate import scrub

    lines = Lines(as_json=as_json)
    summary = run(partial(scrub, settings_of(config), volume, folder, lines.show, keep=keep, quiet=quiet))
    click.echo(summary, err=True)
    sys.exit(_DAMAGED if lines.count else 0)

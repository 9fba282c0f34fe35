"""`penstock rebuild`: the catalogue, made anew."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from domain.ids import VolumeName
from ops.cli.main import main
from ops.cli.options import config_option, json_option, run, settings_of

#: Exit code of a dry run that found differences.
_DIFFERENT = 3


@main.command("rebuild")
@config_option
@json_option
@click.option("--volume", type=VolumeName, default=None, help="Only this volume.")
@click.option("--count", is_flag=True, help="Count every folder's usage as well.")
@click.option(
    "--archive", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Read events of this archive."
)
@click.option("--dry-run", is_flag=True, help="Report differences, change nothing.")
def rebuild_command(
    config: Path | None,
    volume: VolumeName | None,
    archive: Path | None,
    *,
    count: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make the catalogue say what events tell and volumes hold; reports every difference.

    Exit code 3: a dry run found differences.
    """
    from ops.console import Lines
    from ops.operate import rebuild

    lines = Lines(as_json=as_json)
    run(partial(rebuild, settings_of(config), volume, archive, lines.show, count=count, dry_run=dry_run))
    click.echo(f"{lines.count} differences", err=True)
    sys.exit(_DIFFERENT if dry_run and lines.count else 0)

"""`penstock archive`: keep commands and events in files."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from ops.cli.main import main
from ops.cli.options import config_option, settings_of


@main.command("archive")
@config_option
@click.option(
    "--to",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Directory of the archive; made if it is not there.",
)
@click.option("--once", is_flag=True, help="End when everything there is now is archived.")
def archive_command(config: Path | None, directory: Path, *, once: bool) -> None:
    """Follow the events and every volume's commands into an archive.

    One process at a time. Trimming waits for it from its first start on.
    """
    from ops.process import run
    from ops.roles.archive import run as run_archive
    from ops.settings import load_settings

    role = partial(run_archive, directory=directory, once=once)
    sys.exit(run(role, "archive", settings_of(config), partial(load_settings, config)))

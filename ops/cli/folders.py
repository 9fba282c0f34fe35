"""`penstock folders`: the catalogue."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from domain.ids import QuotaScopeId, VolumeName
from ops.cli.main import main
from ops.cli.options import config_option, json_option, print_found, settings_of


@main.group()
def folders() -> None:
    """Look at the catalogue of folders."""


@folders.command("ls")
@config_option
@json_option
@click.option("--volume", type=VolumeName, default=None, help="Only folders of this volume.")
@click.option(
    "--owner", type=QuotaScopeId.parse, default=None, help="Only folders of `user:<uuid>` or `project:<uuid>`."
)
def list_command(
    config: Path | None, volume: VolumeName | None, owner: QuotaScopeId | None, *, as_json: bool
) -> None:
    """List folders."""
    from ops.operate import list_rows

    if volume is not None and owner is not None:
        raise click.UsageError("give --volume or --owner, not both")
    print_found(partial(list_rows, settings_of(config), volume, owner), as_json=as_json)

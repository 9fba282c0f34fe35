"""`penstock dlq`: commands that were set aside."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from domain.ids import VolumeName
from ops.cli.main import main
from ops.cli.options import config_option, json_option, print_found, run, settings_of

_volume = click.option("--volume", type=VolumeName, default=None, help="Only of this volume.")
_letter = click.argument("letter")


@main.group()
def dlq() -> None:
    """Look at dead letters, the commands that can not be handled, and deal with them."""


@dlq.command("ls")
@config_option
@json_option
@_volume
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="Most letters of a volume.")
def ls_command(config: Path | None, volume: VolumeName | None, limit: int, *, as_json: bool) -> None:
    """List dead letters, the oldest first."""
    from ops.dead_letters import letter_rows

    print_found(partial(letter_rows, settings_of(config), volume, limit), as_json=as_json)


@dlq.command("show")
@config_option
@_letter
def show_command(config: Path | None, letter: str) -> None:
    """Tell everything about a dead letter, as JSON."""
    from ops.dead_letters import letter_told

    click.echo(json.dumps(run(partial(letter_told, settings_of(config), letter)), indent=2))


@dlq.command("redrive")
@config_option
@json_option
@_volume
@click.option("--all", "everything", is_flag=True, help="All dead letters (of the volume).")
@click.argument("letters", nargs=-1)
def redrive_command(
    config: Path | None, volume: VolumeName | None, letters: tuple[str, ...], *, everything: bool, as_json: bool
) -> None:
    """Have dead letters tried again, under their own ids."""
    _deal(config, "redrive", letters, volume, everything=everything, as_json=as_json)


@dlq.command("skip")
@config_option
@json_option
@_volume
@click.option("--all", "everything", is_flag=True, help="All dead letters (of the volume).")
@click.argument("letters", nargs=-1)
def skip_command(
    config: Path | None, volume: VolumeName | None, letters: tuple[str, ...], *, everything: bool, as_json: bool
) -> None:
    """Drop dead letters; what waits behind them goes on."""
    _deal(config, "skip", letters, volume, everything=everything, as_json=as_json)


@dlq.command("edit")
@config_option
@json_option
@_letter
@click.option("--set", "values", multiple=True, metavar="FIELD=JSON", required=True, help="A field of its body.")
def edit_command(config: Path | None, letter: str, values: tuple[str, ...], *, as_json: bool) -> None:
    """Have a corrected command tried in a dead letter's place, under a new id."""
    from ops.dead_letters import edit

    changes: dict[str, Any] = {}
    for value in values:
        field, equals, text = value.partition("=")
        if not equals:
            raise click.UsageError(f"--set {value}: give FIELD=JSON")
        try:
            changes[field] = json.loads(text)
        except ValueError:
            changes[field] = text
    print_found(partial(edit, settings_of(config), letter, changes), as_json=as_json)


def _deal(
    config: Path | None,
    verb: str,
    letters: tuple[str, ...],
    volume: VolumeName | None,
    *,
    everything: bool,
    as_json: bool,
) -> None:
    from ops.console import print_rows
    from ops.dead_letters import deal

    if bool(letters) == everything:
        raise click.UsageError("name dead letters, or give --all")
    rows = run(partial(deal, settings_of(config), verb, None if everything else letters, volume))
    print_rows(rows, as_json=as_json)
    sys.exit(0 if all(row["done"] for row in rows) else 1)

"""`penstock streams`: queues, readers, and what goes by."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from pathlib import Path
from typing import Any

import click

from ops.cli.filters import filter_of, filter_options
from ops.cli.main import main
from ops.cli.options import config_option, json_option, print_found, run, settings_of


@main.group()
def streams() -> None:
    """Look at command queues and at who reads the events."""


@streams.command("ls")
@config_option
@json_option
def lanes_command(config: Path | None, *, as_json: bool) -> None:
    """Queue of each volume: owner, epoch, commands waiting, age of the oldest, dead letters."""
    from ops.operate import lane_rows

    print_found(partial(lane_rows, settings_of(config)), as_json=as_json)


@streams.command("readers")
@config_option
@json_option
def readers_command(config: Path | None, *, as_json: bool) -> None:
    """Registered readers of the events: how far they are, and when they were last there."""
    from ops.operate import reader_rows

    print_found(partial(reader_rows, settings_of(config)), as_json=as_json)


@streams.command("tail")
@config_option
@json_option
@filter_options
@click.option("--after", default="", help="Position to go on behind; without it, what comes from now on.")
@click.option("--count", type=click.IntRange(1), default=None, help="End after so many.")
def tail_command(config: Path | None, after: str, count: int | None, *, as_json: bool, **chosen: Any) -> None:
    """Show events as they happen, until interrupted."""
    from ops.console import Lines
    from ops.operate import tail

    lines = Lines(as_json=as_json)
    wanted = filter_of(time.time(), **chosen)
    with contextlib.suppress(KeyboardInterrupt):
        run(partial(tail, settings_of(config), wanted, after, count, lines.show))

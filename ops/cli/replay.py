"""`penstock replay`: what was, once more."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import click

from ops.cli.filters import filter_of, filter_options
from ops.cli.main import main
from ops.cli.options import config_option, json_option, run, settings_of

#: Exit code of a dry run that found something to do.
_DIFFERENT = 3


@main.command("replay")
@config_option
@json_option
@filter_options
@click.argument("what", type=click.Choice(["commands", "events"]))
@click.option(
    "--mode",
    type=click.Choice(["print", "dry-run", "side", "execute"]),
    default="print",
    show_default=True,
    help="print: show them. dry-run: tell what executing each would change now. side: copy them to the stream "
    "`rpl:<run>`. execute: execute each again, once per run.",
)
@click.option("--id", "id_", type=click.UUID, default=None, help="Only this message.")
@click.option("--archive", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Read this archive.")
@click.option("--run", "run_name", default=None, help="Name of the run, to go on with one that was cut short.")
@click.option("--rate", type=click.FloatRange(0), default=50.0, show_default=True, help="Most commands a second.")
def replay_command(
    config: Path | None,
    what: str,
    mode: str,
    run_name: str | None,
    rate: float,
    *,
    as_json: bool,
    id_: Any,
    archive: Path | None,
    **chosen: Any,
) -> None:
    """Look at commands or events that were, compare them with the volumes, copy them, or execute commands again.

    Exit code 3: a dry run found that something would change.
    """
    from ops.console import Lines
    from ops.operate import Replay

    if mode in ("dry-run", "execute") and what == "events":
        raise click.UsageError("only commands can be executed; events can be printed or copied")
    name = run_name or f"run-{int(time.time())}"
    wanted = filter_of(time.time(), **chosen)
    lines = Lines(as_json=as_json)
    work = Replay(settings_of(config), what, wanted, id_, archive)
    if mode in ("side", "execute"):
        click.echo(f"run {name}", err=True)
    changes = run(partial(work.run, mode, name, rate, lines.show))
    click.echo(f"{lines.count} {what}", err=True)
    sys.exit(_DIFFERENT if mode == "dry-run" and changes else 0)

"""`penstock import-config`: settings of Backend.AI's storage proxy in Penstock's words."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ops.cli.main import main
from ops.cli.options import told


@main.command("import-config")
@click.argument(
    "sources",
    nargs=-1,
    required=True,
    metavar="SOURCE...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("penstock.toml"),
    show_default=True,
    help="Settings file to write; secrets go beside it, into a file of their own.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def import_config(sources: tuple[Path, ...], out: Path, *, as_json: bool) -> None:
    """Read a storage-proxy.toml and write settings for Penstock; tell what has no equivalent.

    Volumes that stand in a file of their own are read from it as well. Relative paths are taken from the directory
    of the file they stand in.
    """
    from ops.importing import read_settings, write_settings

    with told():
        found = read_settings(sources)
        beside = write_settings(found, out)
    if as_json:
        click.echo(json.dumps({"settings": str(out), "taken": found.taken, "notes": found.notes}))
        return
    click.echo(
        f"{out} has the settings, {beside} the secrets (for its owner only)\n"
        if beside
        else f"{out} has the settings and the secrets (for its owner only)\n"
    )
    for theirs, ours in found.taken.items():
        click.echo(f"  taken  {theirs} -> {ours}")
    for theirs, why in found.notes.items():
        click.echo(f"  note   {theirs}: {why}")
    click.echo("\nLook at `bus.url`, then run `penstock doctor`.")

"""The command itself; its parts are in the files beside this one."""

from __future__ import annotations

import click

from ops.version import VERSION


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="penstock")
def main() -> None:
    """An event-driven storage proxy: one API, durable events and resumable transfers over many storage systems."""

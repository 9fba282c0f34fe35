"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click


def print_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print records as one JSON array, or as a table with a column for each key."""
    if as_json:
        click.echo(json.dumps(list(rows), indent=2, default=str))
        return
    if not rows:
        click.echo("none")
        return
    columns = list(rows[0])
    lines = [columns, *[[_cell(row.get(column)) for column in columns] for row in rows]]
    widths = [max(len(line[number]) for line in lines) for number in range(len(columns))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


class Lines:
    """Prints records as they come: JSON, one object a line, or values side by side."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self.count = 0

    def show(self, row: Mapping[str, Any]) -> None:
        """Print one record."""
        self.count += 1
        if self._as_json:
            click.echo(json.dumps(row, default=str))
        else:
            click.echo("  ".join(_cell(_short(value)) for value in row.values()))


def _short(value: Any) -> Any:
    return json.dumps(value, default=str) if isinstance(value, dict | list) else value


def progress(count: int | None, what: str) -> Any:
    """A bar on a terminal's error output; nothing anywhere else. Use as a context manager, call `update(1)`."""
    return click.progressbar(
        length=count or 0, label=what, file=sys.stderr, show_pos=True, hidden=not sys.stderr.isatty()
    )


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)

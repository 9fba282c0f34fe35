"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
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


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)

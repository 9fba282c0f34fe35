"""What several commands share: options, settings, and how errors are told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
import click

from domain.errors import PenstockError

T = TypeVar("T")

config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    envvar="PENSTOCK_CONFIG",
    help="Settings file (TOML); the environment overlays it.",
)
child_option = click.option("--child", type=int, default=None, hidden=True, help="Process id of the supervisor.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def settings_of(config: Path | None) -> Any:
    from ops.settings import load_settings

    with told():
        return load_settings(config)


def print_found(rows: Callable[[], Any], *, as_json: bool) -> None:
    from ops.console import print_rows

    with told():
        print_rows(anyio.run(rows), as_json=as_json)


@contextmanager
def told() -> Iterator[None]:
    """Turn our own errors into one line and exit code 1."""
    try:
        yield
    except Exception as error:
        found = _first_of_ours(error)
        if found is None:
            raise
        raise click.ClickException(found.message) from None


def _first_of_ours(error: BaseException | None) -> PenstockError | None:
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := _first_of_ours(inner))), None)
    return error if isinstance(error, PenstockError) else None


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run something asynchronous, telling our own errors in one line."""
    with told():
        return anyio.run(work)

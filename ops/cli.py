"""The command line: `penstock serve | gateway | actor | worker | doctor | folders | streams`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import click

from domain.errors import PenstockError
from domain.ids import QuotaScopeId, VolumeName
from ops.version import VERSION

_config = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    envvar="PENSTOCK_CONFIG",
    help="Settings file (TOML); the environment overlays it.",
)
_child = click.option("--child", type=int, default=None, hidden=True, help="Process id of the supervisor.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="penstock")
def main() -> None:
    """An event-driven storage proxy: one API, durable events and resumable transfers over many storage systems."""


@main.command()
@_config
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var"),
    show_default=True,
    help="Directory for everything that is kept.",
)
def serve(config: Path | None, data: Path) -> None:
    """Run everything on this machine, with a Redis-compatible server of its own."""
    from ops.embedded import Home
    from ops.log import configure
    from ops.serve import Serve

    with _told():
        everything = Serve(Home(data), config, partial(click.echo, err=False))
        configure(everything.settings.log, "serve")
        anyio.run(everything.run)


@main.command()
@_config
@_child
def gateway(config: Path | None, child: int | None) -> None:
    """Serve clients and the manager over HTTP."""
    from ops.supervise import run_supervised

    settings = _settings(config)
    if child is not None or settings.gateway.processes == 1:
        _run_role("gateway", config, child)
    else:
        sys.exit(run_supervised(settings, "gateway", config, settings.gateway.processes))


@main.command()
@_config
@_child
def actor(config: Path | None, child: int | None) -> None:
    """Own volumes and do what commands ask of them."""
    _run_role("actor", config, child)


@main.command()
@_config
@_child
def worker(config: Path | None, child: int | None) -> None:
    """Do long jobs, such as purging deleted folders."""
    _run_role("worker", config, child)


@main.command()
@_config
@_json
def doctor(config: Path | None, *, as_json: bool) -> None:
    """Check settings, Redis and volumes; say what is wrong and how to mend it."""
    from ops.console import print_rows
    from ops.doctor import Grade, examine, worst

    findings = list(examine(config))
    print_rows([asdict(finding) for finding in findings], as_json=as_json)
    sys.exit(1 if worst(findings) is Grade.FAIL else 0)


@main.group()
def folders() -> None:
    """Look at the catalogue of folders, and rebuild it."""


@folders.command("ls")
@_config
@_json
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
    _print(partial(list_rows, _settings(config), volume, owner), as_json=as_json)


@folders.command("rebuild")
@_config
@_json
@click.option("--volume", type=VolumeName, default=None, help="Only this volume.")
@click.option("--count", is_flag=True, help="Count every folder's usage as well.")
def rebuild_command(config: Path | None, volume: VolumeName | None, *, count: bool, as_json: bool) -> None:
    """Make the catalogue say what the volumes hold."""
    from ops.operate import rebuild_rows

    _print(partial(rebuild_rows, _settings(config), volume, count=count), as_json=as_json)


@main.group()
def streams() -> None:
    """Look at command queues and at who reads the events."""


@streams.command("ls")
@_config
@_json
def lanes_command(config: Path | None, *, as_json: bool) -> None:
    """Queue of each volume: owner, epoch, commands waiting, age of the oldest, dead letters."""
    from ops.operate import lane_rows

    _print(partial(lane_rows, _settings(config)), as_json=as_json)


@streams.command("readers")
@_config
@_json
def readers_command(config: Path | None, *, as_json: bool) -> None:
    """Registered readers of the events: how far they are, and when they were last there."""
    from ops.operate import reader_rows

    _print(partial(reader_rows, _settings(config)), as_json=as_json)


@main.command("embedded-redis", hidden=True)
@click.argument("binary")
@click.argument("config")
@click.argument("supervisor", type=int)
def embedded_redis(binary: str, config: str, supervisor: int) -> None:
    """Become the embedded server, bound to the life of `penstock serve`."""
    from ops.process import end_with_parent

    end_with_parent(supervisor)
    os.execv(binary, [binary, config])  # noqa: S606  our own wheel's binary


def _run_role(name: str, config: Path | None, child: int | None) -> None:
    from ops import roles
    from ops.process import end_with_parent, run

    if child is not None:
        end_with_parent(child)
    role = {"gateway": roles.run_gateway, "actor": roles.run_actor, "worker": roles.run_worker}[name]
    sys.exit(run(role, name, _settings(config)))


def _settings(config: Path | None) -> Any:
    from ops.settings import load_settings

    with _told():
        return load_settings(config)


def _print(rows: Callable[[], Any], *, as_json: bool) -> None:
    from ops.console import print_rows

    with _told():
        print_rows(anyio.run(rows), as_json=as_json)


@contextmanager
def _told() -> Iterator[None]:
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


if __name__ == "__main__":
    main()

"""`penstock serve | gateway | actor | worker | bridge | doctor`: running Penstock, and whether it can run."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from functools import partial
from importlib import import_module
from pathlib import Path

import anyio
import click

from ops.cli.main import main
from ops.cli.options import child_option, config_option, json_option, settings_of, told


@main.command()
@config_option
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

    with told():
        everything = Serve(Home(data), config, partial(click.echo, err=False))
        configure(everything.settings.log, "serve")
        anyio.run(everything.run)


@main.command()
@config_option
@child_option
def gateway(config: Path | None, child: int | None) -> None:
    """Serve clients and the manager over HTTP."""
    from ops.supervise import run_supervised

    settings = settings_of(config)
    if child is not None or settings.gateway.processes == 1:
        _run_role("gateway", config, child)
    else:
        sys.exit(run_supervised(settings, "gateway", config, settings.gateway.processes))


@main.command()
@config_option
@child_option
def actor(config: Path | None, child: int | None) -> None:
    """Own volumes and do what commands ask of them."""
    _run_role("actor", config, child)


@main.command()
@config_option
@child_option
def worker(config: Path | None, child: int | None) -> None:
    """Do long jobs, such as purging deleted folders."""
    _run_role("worker", config, child)


@main.command()
@config_option
@child_option
def bridge(config: Path | None, child: int | None) -> None:
    """Carry events to Backend.AI's manager, and answer its wishes for mounts."""
    _run_role("bridge", config, child)


@main.command()
@config_option
@json_option
def doctor(config: Path | None, *, as_json: bool) -> None:
    """Check settings, Redis and volumes; say what is wrong and how to mend it."""
    from ops.console import print_rows
    from ops.doctor import Grade, examine, worst

    findings = list(examine(config))
    print_rows([asdict(finding) for finding in findings], as_json=as_json)
    sys.exit(1 if worst(findings) is Grade.FAIL else 0)


@main.command("embedded-redis", hidden=True)
@click.argument("binary")
@click.argument("config")
@click.argument("supervisor", type=int)
def embedded_redis(binary: str, config: str, supervisor: int) -> None:
    """Become the embedded server, bound to the life of `penstock serve`."""
    from ops.process import end_with_parent

    end_with_parent(supervisor)
    os.execv(binary, [binary, config])  # noqa: S606  our own wheel's binary


@main.command()
@config_option
def reload(config: Path | None) -> None:
    """Have running processes go over to changed settings, without an interruption."""
    from bus.streams import open_streams_bus
    from ops.reload import tell_of_settings

    async def tell() -> None:
        settings = settings_of(config)
        async with open_streams_bus(settings.bus, f"reload.{os.getpid()}") as bus:
            await tell_of_settings(bus, settings.volumes)

    with told():
        anyio.run(tell)


def _run_role(name: str, config: Path | None, child: int | None) -> None:
    from ops.process import end_with_parent, run
    from ops.settings import load_settings

    if child is not None:
        end_with_parent(child)
    role = import_module(f"ops.roles.{name}")
    sys.exit(run(role.run, name, settings_of(config), partial(load_settings, config)))

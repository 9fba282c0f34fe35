"""`penstock serve`: what a new user does."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from harness.processes import PENSTOCK, free_port, until

pytestmark = pytest.mark.timeout(120)


@dataclass
class Serving:
    """A running `penstock serve` and what it has said."""

    process: subprocess.Popen[bytes]
    home: Path
    environment: dict[str, str]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    @property
    def runs(self) -> bool:
        """Whether the banner was told."""
        return "Ctrl-C" in self.said

    @property
    def example(self) -> str:
        """The three lines to paste."""
        return "\n".join(re.findall(r"^  (?:\. |T=).*$", self.said, re.MULTILINE)[-3:])

    def interrupt(self) -> int:
        """Ctrl-C: the terminal signals the whole group in front."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(40)


@contextmanager
def serve(home: Path, tmp_path: Path) -> Iterator[Serving]:
    with launch(home, tmp_path) as serving:
        until(lambda: serving.runs or serving.process.poll() is not None, "the banner", 40)
        assert serving.process.poll() is None, serving.said
        yield serving


@contextmanager
def launch(home: Path, tmp_path: Path, **own: str) -> Iterator[Serving]:
    """Without waiting for the banner; `own` are variables of the environment."""
    ports = {
        f"PENSTOCK__{name}__PORT": str(free_port())
        for name in (
            "GATEWAY__CLIENT",
            "GATEWAY__MANAGER",
            "INTERNAL__GATEWAY",
            "INTERNAL__ACTOR",
            "INTERNAL__WORKER",
        )
    }
    environment = {**os.environ, **ports, **own}
    log = tmp_path / f"serve-{len(list(tmp_path.glob('serve-*')))}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*PENSTOCK, "serve", "--data", str(home)],
            env=environment,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield Serving(process, home, environment, log)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def paste(text: str) -> str:
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def operate(serving: Serving, words: str) -> str:
    command = " ".join(PENSTOCK)
    text = f"set -a; . {serving.home}/secrets.env; set +a; {command} {words}"
    done = subprocess.run(
        ["bash", "-c", text], env=serving.environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_printed_example_works_and_the_next_start_finds_it(tmp_path: Path) -> None:
    home = tmp_path / "data"
    with serve(home, tmp_path) as first:
        assert paste(first.example) == "hello\n"
        children = psutil.Process(first.process.pid).children(recursive=True)
        assert len(children) >= 4
        assert first.interrupt() == 0
        until(lambda: not living(children), "all children are gone", 10)
    with serve(home, tmp_path) as second:
        # The folder and the file are there; only their download is asked for again.
        lines = second.example.splitlines()
        assert paste("\n".join([lines[0].partition("; curl")[0], lines[2]])) == "hello\n"
        (folder,) = json.loads(operate(second, "folders ls --json"))
        assert folder["vfid"].startswith("user:00000000-0000-4000-8000-000000000001/")
        assert second.interrupt() == 0


def test_it_says_that_it_runs_when_both_ports_are_served(tmp_path: Path) -> None:
    # Somebody else holds both; only on the clients' one does he listen.
    with socket.create_server(("127.0.0.1", free_port())) as listening, socket.socket() as bound:
        bound.bind(("127.0.0.1", free_port()))
        taken = {"CLIENT": listening, "MANAGER": bound}
        ports = {f"PENSTOCK__GATEWAY__{name}__PORT": str(s.getsockname()[1]) for name, s in taken.items()}
        with launch(tmp_path / "data", tmp_path, **ports) as serving:
            until(lambda: "address already in use" in serving.said, "the gateway finds its port taken", 40)
            assert not serving.runs
            listening.close()
            bound.close()
            until(lambda: serving.runs, "the banner", 40)
            assert paste(serving.example) == "hello\n"


def test_secrets_are_kept_and_never_told(tmp_path: Path) -> None:
    home = tmp_path / "data"
    with serve(home, tmp_path) as serving:
        paste(serving.example)
        file = home / "secrets.env"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        lines = dict(line.split("=", 1) for line in file.read_text().splitlines())
        secrets = [value for name, value in lines.items() if name.endswith("_SECRET")]
        secrets.append(str(urlsplit(lines["PENSTOCK__BUS__URL"]).password))
        assert len(secrets) == 3
        assert serving.interrupt() == 0
        for secret in secrets:
            assert secret not in serving.said


def test_a_killed_child_is_started_again(tmp_path: Path) -> None:
    with serve(tmp_path / "data", tmp_path) as serving:
        assert paste(serving.example) == "hello\n"
        (gateway,) = (
            child
            for child in psutil.Process(serving.process.pid).children(recursive=True)
            if "gateway" in child.cmdline()
        )
        gateway.kill()
        lines = serving.example.splitlines()
        again = "\n".join([lines[0].partition("; curl")[0], lines[2]])
        until(lambda: _tried(again) == "hello\n", "the gateway is back")
        assert serving.interrupt() == 0


def test_children_end_with_a_killed_parent(tmp_path: Path) -> None:
    with serve(tmp_path / "data", tmp_path) as serving:
        children = psutil.Process(serving.process.pid).children(recursive=True)
        serving.process.kill()
        serving.process.wait()
        until(lambda: not living(children), "all children are gone")


def test_a_second_start_on_the_same_data_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "data"
    with serve(home, tmp_path) as serving:
        done = subprocess.run(
            [*PENSTOCK, "serve", "--data", str(home)],
            env=serving.environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 1
        assert "is in use" in done.stderr
        assert paste(serving.example) == "hello\n"


def living(processes: list[psutil.Process]) -> list[str]:
    """What still runs; a child nobody has waited for is not running."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
    return found


def _tried(text: str) -> str:
    return subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=30, check=False).stdout


def test_a_child_whose_parent_died_early_ends_at_once(tmp_path: Path) -> None:
    """The kernel cannot tell of a death that was before it was asked to."""
    with serve(tmp_path / "data", tmp_path) as serving:
        lines = (serving.home / "secrets.env").read_text().splitlines()
        environment = {**serving.environment, **dict(line.split("=", 1) for line in lines)}
        command = [*PENSTOCK, "worker", "--child", str(serving.process.pid)]
        done = subprocess.run(command, env=environment, capture_output=True, timeout=30, check=False)
        assert done.returncode == 1
        assert b"supervisor is gone" in done.stderr

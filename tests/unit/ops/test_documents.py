"""Every command the documents tell is one that is understood."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from ops.cli import main

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "events.md")


def commands(text: str) -> list[str]:
    """Commands in blocks of shell, and in the text."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    told = [" ".join(found.split()) for found in re.findall(r"`(penstock [a-z][^`]*)`", text)]
    return [line.partition(" #")[0].strip() for line in [*lines, *told] if line.startswith("penstock ")]


TOLD = sorted({(path.name, command) for path in DOCUMENTS for command in commands(path.read_text())})


def test_there_are_commands_to_try() -> None:
    assert len(TOLD) > 25


@pytest.mark.parametrize(("document", "command"), TOLD)
def test_a_command_of_the_documents_is_understood(document: str, command: str) -> None:
    done = CliRunner().invoke(main, [*shlex.split(command)[1:], "--help"])
    assert done.exit_code == 0, (document, command, done.output)
    assert "Usage:" in done.output

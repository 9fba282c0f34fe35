"""Generated pages are current, and the sample settings are what the code takes."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bus import codec
from domain.registry import COMMANDS, EVENTS
from ops.reference.__main__ import PAGES
from ops.reference.events import ENVELOPE
from ops.settings import load_settings

ROOT = Path(__file__).parents[3]
SECRET = "0123456789abcdef0123456789abcdef"
#: A key of a sample that shows its default, or that says what could be set.
COMMENTED = re.compile(r"^# (\w+ = .*|\[[\w.]+\])$", re.MULTILINE)
BARE = f"""
[gateway]
manager_secret = "{SECRET}"
token_secret = "{SECRET}"
[worker]
url = "redis://127.0.0.1:6379/1"
[backendai]
url = "redis://127.0.0.1:6379/1"
[log]
format = "text"
[volumes.local]
backend = "vfs"
path = "/path/to/a/directory"
"""


@pytest.mark.parametrize("name", PAGES)
def test_generated_files_are_current(name: str) -> None:
    assert (ROOT / name).read_text() == PAGES[name](), "run `make docs`"


def test_every_message_is_on_the_page() -> None:
    page = PAGES["docs/events.md"]()
    assert len(ENVELOPE) == codec._FIELDS
    for message in (*COMMANDS.values(), *EVENTS.values()):
        assert f"### `{message.type}`" in page


def uncommented(name: str) -> str:
    """The text of a sample with every key set."""
    text = COMMENTED.sub(r"\1", (ROOT / name).read_text())
    secrets = re.compile(r'^(manager_secret|token_secret) = ""$', re.MULTILINE)
    return secrets.sub(rf'\1 = "{SECRET}"', text).replace('url = ""', 'url = "redis://127.0.0.1:6379/1"')


def leaves(table: dict[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= leaves(value, f"{path}{key}.") if isinstance(value, dict) else {f"{path}{key}": value}
    return found


def test_the_sample_shows_every_key_with_its_default(tmp_path: Path) -> None:
    full, bare = tmp_path / "full.toml", tmp_path / "bare.toml"
    full.write_text(uncommented("configs/standalone.toml"))
    bare.write_text(BARE)
    settings = load_settings(full)
    assert set(leaves(settings.model_dump())) == set(leaves(tomllib.loads(full.read_text())))
    assert settings.model_dump() == load_settings(bare).model_dump()


def test_the_cluster_sample_is_valid_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_REDIS_URL", "redis://redis:6379/0")
    monkeypatch.setenv("PENSTOCK_MANAGER_SECRET", SECRET)
    monkeypatch.setenv("PENSTOCK_TOKEN_SECRET", SECRET)
    settings = load_settings(ROOT / "configs/cluster.toml")
    assert settings.gateway.processes == 2
    assert (settings.gateway.client.host, settings.gateway.client.port) == ("0.0.0.0", 6021)
    assert settings.internal.worker.port == 16025
    assert {getattr(settings.internal, role).host for role in type(settings.internal).model_fields} == {"0.0.0.0"}


@pytest.mark.parametrize("name", ["configs/standalone.toml", "configs/cluster.toml"])
def test_the_schema_takes_the_samples_and_refuses_mistakes(name: str) -> None:
    schema = json.loads((ROOT / "configs/penstock.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tomllib.loads((ROOT / name).read_text()), schema)
    jsonschema.validate(tomllib.loads(uncommented(name)), schema)
    for mistake in (
        {"bus": {"urll": "x"}},
        {"gateway": {"processes": "two"}},
        {"volumes": {"a": {"backend": "f"}}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(mistake, schema)

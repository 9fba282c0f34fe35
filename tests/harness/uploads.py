"""Uploads as they are recorded, and time that passes for them when a test says so."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from harness.world import TOKEN_SECRET, World

from bus.codec import decode_document, encode_document
from bus.memory.bus import MemoryClock
from bus.memory.store import StoredRecord
from gateway import tokens


def claims_of(token: str) -> dict[str, Any]:
    """What a token says."""
    return jwt.decode(token, TOKEN_SECRET, algorithms=["HS256"], options={"verify_exp": False})


def session_of(token: str) -> str:
    """Id of the upload a token is for."""
    return str(claims_of(token)["session"])


def change(world: World, session: str, due: float = 1.0, **fields: Any) -> None:
    """Change what is recorded of an upload, behind the gateway's back."""
    record = world.store.records[f"upload:{session}"]
    document = {**decode_document(record.data), **fields}
    world.store.records[f"upload:{session}"] = StoredRecord(
        encode_document(document), record.revision + 1, record.expires, due
    )


def reserved(world: World) -> list[int]:
    """Bytes that unfinished uploads have reserved, of whatever limits."""
    indexes = world.store.view.indexes
    members = [member for name, found in indexes.items() if name.startswith("index:uploads:") for member in found]
    return sorted(int(member.partition(":")[2]) for member in members)


def let_pass(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have the bus's clock, and that by which tokens are judged, so far ahead from now on."""
    monkeypatch.setattr(MemoryClock, "now", lambda clock: time.time() + seconds)
    monkeypatch.setattr(tokens, "time", SimpleNamespace(time=lambda: time.time() + seconds))

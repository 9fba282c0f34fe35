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


def reserved(world: World, owner: str = "") -> list[int]:
    """Bytes that unfinished uploads have reserved, of whatever limits or of one."""
    indexes = world.store.view.indexes
    names = [name for name in indexes if name.startswith("index:uploads:") and name.endswith(owner)]
    members = {member for name in names for member in indexes[name]}
    return sorted(size for member in members if (size := int(member.partition(":")[2])))


def let_pass(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have the bus's clock, and that by which tokens are judged, so far ahead from now on."""
    monkeypatch.setattr(MemoryClock, "now", lambda clock: time.time() + seconds)
    monkeypatch.setattr(tokens, "time", SimpleNamespace(time=lambda: time.time() + seconds))

"""Digest fields (RFC 9530): what bytes of an answer hash to."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.protocol.fields import field_value

_SHA256: Final = re.compile(r"\s*sha-256\s*=\s*([0-9]{1,2})\s*(?:;.*)?")
#: The fields that matter to digests, as they are called by who decides on them.
WISHES: Final = ("Want-Repr-Digest", "Want-Content-Digest")


@dataclass(frozen=True, slots=True)
class Wishes:
    """Of what a request wants the SHA-256 (section 4)."""

    #: Of the whole representation, whatever part of it is sent (`Want-Repr-Digest`).
    whole: bool
    #: Of the bytes that are sent (`Want-Content-Digest`).
    content: bool


_NONE: Final = Wishes(whole=False, content=False)


def wishes(request: Mapping[str, str]) -> Wishes:
    """Read what a request wants. `request` holds its header fields, case-insensitively."""
    whole, content = (field_value(request, name) for name in WISHES)
    return Wishes(_wants(whole), _wants(content)) if whole or content else _NONE


def _wants(value: str | None) -> bool:
    if not value:
        return False
    weight = 0
    for member in value.split(","):
        match = _SHA256.fullmatch(member)
        if match is not None:
            weight = int(match[1])  # of two with one name the last counts (RFC 9651 section 4.2.2)
    return 0 < weight <= 10


def digest_field(sha256: bytes) -> str:
    """Value of Repr-Digest or Content-Digest."""
    return f"sha-256=:{base64.b64encode(sha256).decode()}:"


def whole_fields(sha256: bytes, wanted: Wishes, status: int, method: str) -> dict[str, str]:
    """Fields of an answer about a representation whose SHA-256 is known.

    An answer that sends nothing of it (304, 412, 416) is about something else, or says nothing of it.
    """
    if status not in (200, 206):
        return {}
    fields = {"Repr-Digest": digest_field(sha256)} if wanted.whole else {}
    if status == 200:
        fields["X-Checksum-Sha256"] = sha256.hex()
        if wanted.content and method != "HEAD":
            fields["Content-Digest"] = digest_field(sha256)
    return fields

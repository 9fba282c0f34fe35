"""Digest fields (RFC 9530): what a representation's bytes hash to."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Final

_SHA256: Final = re.compile(r"(?:^|,)\s*sha-256\s*=\s*([0-9]{1,2})\s*(?:,|;|$)")


def wants_sha256(request: Mapping[str, str]) -> bool:
    """Whether a request asks for the SHA-256 of the whole (`Want-Repr-Digest`, section 4)."""
    match = _SHA256.search(request.get("Want-Repr-Digest", ""))
    return match is not None and 0 < int(match[1]) <= 10


def repr_digest(sha256: bytes) -> str:
    """Value of Repr-Digest."""
    return f"sha-256=:{base64.b64encode(sha256).decode()}:"

"""Header fields as HTTP reads them."""

from __future__ import annotations

from collections.abc import Mapping

from multidict import MultiMapping


def field_value(headers: Mapping[str, str], name: str) -> str | None:
    """A field's value; None: it is not there. Several lines of it are one list (RFC 9110 section 5.3)."""
    if not isinstance(headers, dict) and isinstance(headers, MultiMapping):
        lines = headers.getall(name, ())
        return ", ".join(lines) if lines else None
    return headers.get(name)

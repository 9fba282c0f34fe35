"""The Host field (RFC 9110 section 7.2)."""

from __future__ import annotations

import re
from typing import Final

#: A host, which may be empty, and maybe a port (RFC 3986 section 3.2); in brackets what addresses may be made of.
_HOST: Final = re.compile(
    r"(?:\[[0-9A-Za-z:.%_~!$&'()*+,;=-]+\]|(?:[0-9A-Za-z._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?"
)


def is_host(value: str) -> bool:
    """Whether a field says which server is meant; to one that does not the answer is 400 (RFC 9112 section 3.2)."""
    return _HOST.fullmatch(value) is not None

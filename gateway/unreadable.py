"""Answers to what cannot be read as HTTP."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from gateway.problems import own_problem

#: Letters of the reason that are told.
_TOLD: Final = 100
#: Where the HTTP library's words begin to show what was sent.
_SHOWN: Final = re.compile(r"\n|bytearray|b?['\"]")


def unreadable(words: str | None) -> web.Response:
    """The answer, with which its connection ends.

    Args:
        words: what is wrong; what shows nothing of what was sent is told.
    """
    what = _SHOWN.split(words or "", 1)[0].rstrip(": (")[:_TOLD]
    told = f"the request cannot be read: {what}" if what else "the request cannot be read"
    response = own_problem(400, "unreadable-request", "Bad Request", told).response()
    response.force_close()
    return response

"""Where a secret can stand so that our settings read exactly what it is."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

_REFERENCES: Final = ("env", "file")


class Place(Enum):
    """Where a secret is written."""

    #: A line of the file of secrets, which is read without the spaces around it.
    LINE = auto()
    #: The settings themselves, where every text can be said but a reference.
    SETTINGS = auto()


def place_of(secret: str) -> Place | None:
    """Where a secret can stand; None: nowhere."""
    if secret and secret.isascii() and secret.isprintable() and secret == secret.strip():
        return Place.LINE
    return None if secret.partition(":")[0] in _REFERENCES else Place.SETTINGS

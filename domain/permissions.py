"""What a bearer may do inside a folder: RO < RW < RWD."""

from __future__ import annotations

from enum import StrEnum


class Permission(StrEnum):
    """Access mode of a folder: read-only, read-write, or read-write-delete."""

    READ_ONLY = "ro"
    READ_WRITE = "rw"
    READ_WRITE_DELETE = "rwd"

    def covers(self, needed: Permission) -> bool:
        """Whether this mode allows everything `needed` allows."""
        order = list(Permission)
        return order.index(self) >= order.index(needed)

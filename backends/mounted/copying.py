"""What a source of bytes may be that can be copied without reading it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from backends.descriptor import SharedDescriptor


@runtime_checkable
class HasDescriptor(Protocol):
    """An open file of a mounted volume."""

    descriptor: SharedDescriptor

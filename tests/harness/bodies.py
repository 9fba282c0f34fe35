"""Bodies whose length is not announced."""

from __future__ import annotations

from collections.abc import AsyncIterator

from anyio.lowlevel import checkpoint


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    """One part after the other."""
    for part in parts:
        yield part


async def cut_up(data: bytes, count: int = 1 << 14) -> AsyncIterator[bytes]:
    """So many bytes each time, and others get their turn."""
    for start in range(0, len(data), count):
        yield data[start : start + count]
        await checkpoint()

"""Members of an index of the catalogue, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from bus.contract import Catalogue

_PAGE: Final = 500


async def index_pages(catalogue: Catalogue, index: str) -> AsyncIterator[Sequence[str]]:
    """All members in their order; each page is read when it is asked for."""
    after = ""
    while members := await catalogue.page(index, after=after, limit=_PAGE):
        after = members[-1]
        yield members

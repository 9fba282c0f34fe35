"""The most that can be set."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

#: No file system has more.
MOST_BYTES: Final = (1 << 63) - 1
#: Thirty years are as good as for ever, and dates, timers and Redis still count them.
MOST_SECONDS: Final = 1_000_000_000
#: A length of time.
Seconds = Annotated[float, Field(le=MOST_SECONDS)]

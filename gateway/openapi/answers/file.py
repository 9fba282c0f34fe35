"""Files: copied, verified, removed; and tokens to move them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backends.integrity import Integrity
from gateway.openapi.answers.answer import Answer, Count, Sha256Text, left_out


class Token(Answer):
    """What a client needs, and all it needs."""

    token: str = Field(description="a JSON Web Token; whoever has it may do what it is for")


class CopiedFile(Answer):
    """A copy."""

    path: str = Field(description="where it is")
    size: Count
    sha256: Sha256Text | Literal[""] = Field(description="empty: digests are not computed here")


class VerifiedFile(Answer):
    """A file that was read and compared."""

    integrity: Integrity
    sha256: Sha256Text = Field(description="digest of the bytes that were read")
    kept_sha256: Sha256Text | None = Field(description="digest that was kept with it; null: there was none")


class RemovedFiles(Answer):
    """Nothing of these names is there, but for what was passed over."""

    status: Literal["ok"]
    skipped: list[str] = left_out("directories that are still there, because of no `recursive`")

"""Limits, and what counts against them."""

from __future__ import annotations

from pydantic import Field

from gateway.openapi.answers.answer import Answer, Count, left_out


class QuotaUse(Answer):
    """Limits of a scope or a folder."""

    used_bytes: Count | None = Field(description="null: there is no limit, so nothing is counted")
    limit_bytes: Count | None = Field(description="null: there is none")
    soft_limit_bytes: Count = left_out("limit that may be passed for some time; left out: there is none")

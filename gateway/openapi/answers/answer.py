"""What all answers are made of."""

from __future__ import annotations

from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, Field

_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SCOPE = f"(user|project):{_UUID}"

#: A quota scope.
ScopeText = Annotated[str, Field(pattern=f"^{_SCOPE}$")]
#: A folder, with its quota scope if it has one.
FolderText = Annotated[str, Field(pattern=f"^({_SCOPE}/)?[0-9a-f]{{32}}$")]
#: A SHA-256 in hexadecimal digits.
Sha256Text = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
#: A number of bytes or of entries.
Count = Annotated[int, Field(ge=0)]


class Answer(BaseModel):
    """Base of what is answered; a later release may add keys."""


def left_out(words: str) -> Any:
    """The field of a key that is not always there; it is never null."""
    return Field(default_factory=_nothing, description=words)


def _nothing() -> NoReturn:
    raise TypeError("what is left out of an answer has no value")

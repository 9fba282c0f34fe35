"""Upload and download tokens: JSON Web Tokens (RFC 7519) signed with HMAC-SHA256, as Backend.AI makes them.

A token names one operation on one path of one folder. It is all a client needs, so it is never logged.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any, ClassVar, Final, Literal, TypeVar

import jwt
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from domain.errors import ForbiddenError, UnauthenticatedError
from domain.ids import VFolderId
from gateway.validation import told

_ALGORITHM: Final = "HS256"
#: How far clocks of signers may be off, in seconds.
_LEEWAY_SECONDS: Final = 5


class Claims(BaseModel):
    """What every token says. Claims not known here are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: What a token is for, in messages.
    purpose: ClassVar[str]

    volume: str
    #: Unix time after which the token is worth nothing.
    exp: int


class PathClaims(Claims):
    """One operation on one path of one folder."""

    op: str
    vfid: VFolderId
    relpath: str


class UploadClaims(PathClaims):
    """One upload of one file."""

    purpose = "upload"

    op: Literal["upload"] = "upload"
    #: Length of the file in bytes.
    size: int = Field(ge=0, strict=True)
    #: Id of the upload, 32 hexadecimal digits.
    session: str = Field(pattern=r"^[0-9a-f]{32}$")


class CollectionClaims(PathClaims):
    """Any number of uploads below one directory."""

    purpose = "upload-below"

    op: Literal["upload-below"] = "upload-below"
    #: Whose uploads they are; one owner's tokens may use each other's uploads.
    owner: str = Field(min_length=1, max_length=128)


class DownloadClaims(PathClaims):
    """Reading one file, or one directory as an archive."""

    purpose = "download"

    op: Literal["download"] = "download"
    archive: bool = False
    #: Bytes a second all downloads with this token may have together.
    rate: int | None = Field(None, ge=1)
    #: Backend.AI's way to name a path outside of any volume: a token that asks for it is for nothing here.
    unmanaged_path: None = None


class ArchiveClaims(Claims):
    """Reading several files and directories as one archive, in the words of Backend.AI 26."""

    purpose = "an archive"

    operation: Literal["download"] = "download"
    virtual_folder_id: VFolderId
    files: tuple[str, ...] = Field(min_length=1, max_length=1000)
    #: Name the archive is offered under.
    filename: str | None = None
    #: Bytes a second all downloads with this token may have together.
    rate: int | None = Field(None, ge=1)


C = TypeVar("C", bound=Claims)
D = TypeVar("D", bound=Claims)
#: Good tokens remembered at most.
_REMEMBERED: Final = 2000


class Tokens:
    """Signs and checks tokens with one key."""

    def __init__(self, secret: SecretStr, valid_seconds: float) -> None:
        self._secret = secret
        self._valid_seconds = valid_seconds
        #: What tokens say whose signature was found good: a client that sends many requests sends one token.
        self._known: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def expiry(self) -> int:
        """`exp` of a token made now."""
        return int(time.time() + self._valid_seconds)

    def sign(self, claims: Claims) -> str:
        """Make a token."""
        payload = claims.model_dump(mode="json", exclude_none=True)
        return jwt.encode(payload, self._secret.get_secret_value(), algorithm=_ALGORITHM)

    def read(self, token: str, model: type[C], *, even_expired: bool = False) -> C:
        """Check a token and read what it says.

        Args:
            even_expired: it may be past its time, because what it is for has begun before and still goes on.

        Raises:
            UnauthenticatedError: no token, a wrong signature, or expired.
            ForbiddenError: a good token for something else.
        """
        payload = self._known.get(token)
        if payload is None:
            payload = self._verified(token)
            self._remember(token, payload)
        try:
            claims = model.model_validate(payload)
        except ValidationError as error:
            raise ForbiddenError(f"the token is not for {model.purpose}", token=told(error)) from error
        if not even_expired and claims.exp <= time.time() - _LEEWAY_SECONDS:
            raise UnauthenticatedError("cannot decode the given value as JWT: Signature has expired")
        return claims

    def read_any(self, token: str, one: type[C], other: type[D], *, even_expired: bool = False) -> C | D:
        """Check a token of either kind. Raises as `read`."""
        try:
            return self.read(token, one, even_expired=even_expired)
        except ForbiddenError:
            return self.read(token, other, even_expired=even_expired)

    def _remember(self, token: str, payload: dict[str, Any]) -> None:
        self._known[token] = payload
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def _verified(self, token: str) -> dict[str, Any]:
        try:
            payload: dict[str, Any] = jwt.decode(
                token,
                self._secret.get_secret_value(),
                algorithms=[_ALGORITHM],
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp"], "verify_exp": False},
            )
        except jwt.InvalidTokenError as error:
            raise UnauthenticatedError(f"cannot decode the given value as JWT: {error}") from error
        return payload

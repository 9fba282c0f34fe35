"""Upload and download tokens: JSON Web Tokens (RFC 7519) signed with HMAC-SHA256, as Backend.AI makes them.

A token names one operation on one path of one folder. It is all a client needs, so it is never logged.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any, ClassVar, Final, Literal, TypeVar, cast

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

    operation: ClassVar[str]

    op: str
    volume: str
    vfid: VFolderId
    relpath: str
    #: Unix time after which the token is worth nothing.
    exp: int


class UploadClaims(Claims):
    """One upload of one file."""

    operation = "upload"

    op: Literal["upload"] = "upload"
    #: Length of the file in bytes.
    size: int = Field(ge=0, strict=True)
    #: Id of the upload, 32 hexadecimal digits.
    session: str = Field(pattern=r"^[0-9a-f]{32}$")


class CollectionClaims(Claims):
    """Any number of uploads below one directory."""

    operation = "upload-below"

    op: Literal["upload-below"] = "upload-below"
    #: Whose uploads they are; one owner's tokens may use each other's uploads.
    owner: str = Field(min_length=1, max_length=128)


class DownloadClaims(Claims):
    """Reading one file, or one directory as an archive."""

    operation = "download"

    op: Literal["download"] = "download"
    archive: bool = False
    #: Bytes a second all downloads with this token may have together.
    rate: int | None = Field(None, ge=1)
    #: Backend.AI's way to name a path outside of any volume: a token that asks for it is for nothing here.
    unmanaged_path: None = None


class ArchiveClaims(BaseModel):
    """Reading several files and directories as one archive, in the words of Backend.AI 26."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    operation: Literal["download"] = "download"
    volume: str
    virtual_folder_id: VFolderId
    files: tuple[str, ...] = Field(min_length=1, max_length=1000)
    #: Name the archive is offered under.
    filename: str | None = None
    #: Bytes a second all downloads with this token may have together.
    rate: int | None = Field(None, ge=1)
    exp: int


C = TypeVar("C", bound=Claims)
D = TypeVar("D", bound=Claims)
#: Good tokens remembered at most.
_REMEMBERED: Final = 2000


class Tokens:
    """Signs and checks tokens with one key."""

    def __init__(self, secret: SecretStr, valid_seconds: float) -> None:
        self._secret = secret
        self._valid_seconds = valid_seconds
        #: Tokens that were found good, by their text: a client that sends many requests sends one token.
        self._known: OrderedDict[tuple[str, type[Claims]], Claims] = OrderedDict()

    def expiry(self) -> int:
        """`exp` of a token made now."""
        return int(time.time() + self._valid_seconds)

    def sign(self, claims: Claims | ArchiveClaims) -> str:
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
        known = self._known.get((token, model))
        if known is None:
            known = self._parse(self._verified(token), model)
            self._remember(token, model, known)
        if not even_expired:
            self._check_time(known.exp)
        return cast("C", known)

    def read_any(self, token: str, one: type[C], other: type[D], *, even_expired: bool = False) -> C | D:
        """Check a token of either kind. Raises as `read`."""
        try:
            return self.read(token, one, even_expired=even_expired)
        except ForbiddenError:
            return self.read(token, other, even_expired=even_expired)

    def read_archive(self, token: str) -> ArchiveClaims:
        """Check a token for several files. Raises as `read`."""
        payload = self._verified(token)
        try:
            claims = ArchiveClaims.model_validate(payload)
        except ValidationError as error:
            raise ForbiddenError("the token is not for an archive", token=told(error)) from error
        self._check_time(claims.exp)
        return claims

    @staticmethod
    def _check_time(expiry: int) -> None:
        if expiry <= time.time() - _LEEWAY_SECONDS:
            raise UnauthenticatedError("cannot decode the given value as JWT: Signature has expired")

    @staticmethod
    def _parse(payload: dict[str, Any], model: type[C]) -> C:
        try:
            return model.model_validate(payload)
        except ValidationError as error:
            raise ForbiddenError(f"the token is not for {model.operation}", token=told(error)) from error

    def _remember(self, token: str, model: type[Claims], claims: Claims) -> None:
        self._known[token, model] = claims
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

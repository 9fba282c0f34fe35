"""Upload and download tokens: JSON Web Tokens (RFC 7519) signed with HMAC-SHA256, as Backend.AI makes them.

A token names one operation on one path of one folder. It is all a client needs, so it is never logged.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeVar

import jwt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from domain.errors import ForbiddenError, TooLargeError, UnauthenticatedError
from domain.ids import VFolderId
from domain.permissions import Permission
from domain.recent import Recent
from gateway.keys import Keyring
from gateway.validation import told

#: A permission; Backend.AI writes `wd` for what is `rwd` here.
AnyPermission = Annotated[
    Permission, BeforeValidator(lambda value: Permission.READ_WRITE_DELETE if value == "wd" else value)
]
#: Seconds since 1970, with or without a fraction, and no text of them (RFC 7519 section 2: NumericDate).
NumericDate = Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True, allow_inf_nan=False)]
#: Bytes a second; the most is as good as no limit.
Rate = Annotated[int, Field(ge=1, le=1 << 50)]


class Claims(BaseModel):
    """What every token says. Claims not known here are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: What a token is for, in messages.
    purpose: ClassVar[str]
    #: What its bearer has to be permitted.
    needs: ClassVar[Permission]

    volume: str
    #: What its bearer may do in the folder. Tokens of others may leave it out: their kind says it then.
    perm: AnyPermission | None = None
    #: Unix time after which the token is worth nothing.
    exp: NumericDate


class PathClaims(Claims):
    """One operation on one path of one folder."""

    op: str
    vfid: VFolderId
    relpath: str


class UploadClaims(PathClaims):
    """One upload of one file."""

    purpose = "upload"
    needs = Permission.READ_WRITE

    op: Literal["upload"] = "upload"
    #: Length of the file in bytes.
    size: int = Field(ge=0, strict=True)
    #: Id of the upload, 32 hexadecimal digits.
    session: str = Field(pattern=r"^[0-9a-f]{32}$")
    #: Unix time at which it was begun, if that is recorded nowhere else.
    begun: NumericDate | None = None


class CollectionClaims(PathClaims):
    """Any number of uploads below one directory."""

    purpose = "upload-below"
    needs = Permission.READ_WRITE

    op: Literal["upload-below"] = "upload-below"
    #: Whose uploads they are; one owner's tokens may use each other's uploads.
    owner: str = Field(min_length=1, max_length=128)


class DownloadClaims(PathClaims):
    """Reading one file, or one directory as an archive."""

    purpose = "download"
    needs = Permission.READ_ONLY

    op: Literal["download"] = "download"
    archive: bool = False
    #: Bytes a second all downloads with this token may have together.
    rate: Rate | None = None
    #: A directory outside of all volumes that is read instead of the folder, as Backend.AI's manager names them.
    unmanaged_path: str | None = None


class ArchiveClaims(Claims):
    """Reading several files and directories as one archive, in the words of Backend.AI 26."""

    purpose = "an archive"
    needs = Permission.READ_ONLY

    operation: Literal["download"] = "download"
    virtual_folder_id: VFolderId
    files: tuple[str, ...] = Field((), max_length=1000)
    #: Where the names are kept instead, because they are too many for a token (`gateway.selections`).
    selection: str | None = Field(None, pattern=r"^[0-9a-f]{32}$")
    #: Name the archive is offered under.
    filename: str | None = None
    #: Bytes a second all downloads with this token may have together.
    rate: Rate | None = None

    @model_validator(mode="after")
    def _names_files_once(self) -> Self:
        if bool(self.files) == (self.selection is not None):
            raise ValueError("either names files or tells where the names are kept")
        return self


C = TypeVar("C", bound=Claims)
D = TypeVar("D", bound=Claims)
#: Longest token made or taken, in bytes. The request line or header field it stands in may be a little longer.
MAX_TOKEN_BYTES: Final = 60 << 10
#: Good tokens remembered at most, and how long one of them may be.
_REMEMBERED: Final = 2000
_REMEMBERED_BYTES: Final = 4096


class _Known:
    """A token whose signature is good."""

    def __init__(self, payload: Mapping[str, Any], claims: Claims | None = None) -> None:
        self._payload = payload
        self._claims = claims

    def is_read_as(self, model: type[Claims]) -> bool:
        """Whether it was read as such a token last."""
        return isinstance(self._claims, model)

    def read_as(self, model: type[C]) -> C:
        """What it says. Raises ForbiddenError: it is for something else."""
        if isinstance(self._claims, model):
            return self._claims
        try:
            claims = model.model_validate(self._payload)
        except ValidationError as error:
            raise ForbiddenError(f"the token is not for {model.purpose}", token=told(error)) from error
        self._claims = claims
        return claims


class Tokens:
    """Makes and checks tokens.

    Args:
        valid_seconds: how long a token made here is good.
        skew_seconds: how far the clocks of others who make tokens may be off.
    """

    def __init__(self, keys: Keyring, valid_seconds: float, skew_seconds: float) -> None:
        self._keys = keys
        self._valid_seconds = valid_seconds
        self._skew_seconds = skew_seconds
        #: Tokens whose signature was found good: a client that sends many requests sends one token.
        self._known = Recent[str, _Known](_REMEMBERED)

    def expiry(self) -> int:
        """`exp` of a token made now."""
        return int(time.time() + self._valid_seconds)

    def sign(self, claims: Claims) -> str:
        """Make a token.

        Raises:
            ForbiddenError: whoever gets it may not do what it is for.
            TooLargeError: it would be longer than any that is taken.
        """
        self._check_permission(claims)
        permitted = claims if claims.perm is not None else claims.model_copy(update={"perm": claims.needs})
        payload = permitted.model_dump(mode="json", exclude_none=True)
        token = self._keys.sign(payload)
        if len(token) > MAX_TOKEN_BYTES:
            raise TooLargeError(f"a token of {len(token)} bytes would be needed", max_bytes=MAX_TOKEN_BYTES)
        self._remember(token, _Known(payload, permitted))  # it will come back soon, and most likely here
        return token

    def read(self, token: str, model: type[C], *, even_expired: bool = False) -> C:
        """Check a token and read what it says.

        Args:
            even_expired: it may be past its time, because what it is for has begun before and still goes on.

        Raises:
            UnauthenticatedError: no token, a wrong signature, or expired.
            ForbiddenError: a good token for something else, or for somebody who may not do it.
        """
        known = self._known.get(token)
        if known is None:
            known = _Known(self._verified(token))
            self._remember(token, known)
        claims = known.read_as(model)
        if not even_expired:
            self.check_time(claims)
        self._check_permission(claims)
        return claims

    def check_time(self, claims: Claims) -> None:
        """Check whether a token that was read before still holds. Raises UnauthenticatedError."""
        if claims.exp <= time.time() - self._skew_seconds:
            raise _bad("Signature has expired")

    def read_any(self, token: str, one: type[C], other: type[D], *, even_expired: bool = False) -> C | D:
        """Check a token of either kind. Raises as `read`."""
        known = self._known.get(token)
        if known is not None and known.is_read_as(other):
            return self.read(token, other, even_expired=even_expired)
        try:
            return self.read(token, one, even_expired=even_expired)
        except ForbiddenError:
            return self.read(token, other, even_expired=even_expired)

    @staticmethod
    def _check_permission(claims: Claims) -> None:
        if claims.perm is not None and not claims.perm.covers(claims.needs):
            message = f"{claims.perm.value!r} is not enough for {claims.purpose}: {claims.needs.value!r} is needed"
            raise ForbiddenError(message, field="permission")

    def _remember(self, token: str, known: _Known) -> None:
        if len(token) <= _REMEMBERED_BYTES:
            self._known[token] = known

    def _verified(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_BYTES:
            raise _bad("it is too long")
        try:
            return self._keys.verify(token)
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, RecursionError) as error:
            # Besides what the library says of bad tokens: what it and the JSON parser stumble over.
            raise _bad(error if isinstance(error, jwt.InvalidTokenError) else "Not a token") from error


def _bad(reason: object) -> UnauthenticatedError:
    """A token that does not hold, in the words of Backend.AI's storage proxy."""
    return UnauthenticatedError(f"cannot decode the given value as JWT: {reason}")

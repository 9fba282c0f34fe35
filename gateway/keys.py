"""Keys tokens are signed with: one signs, all of them check."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt
from pydantic import SecretStr

_ALGORITHM: Final = "HS256"
#: What a key's id is computed from, with the key itself as key: it tells keys apart and gives nothing away.
_ID_OF: Final = b"penstock token key id"


class Keyring:
    """Signs JSON Web Tokens (RFC 7519) with the current key, and checks those of retired keys as well.

    The header of a token names its key (`kid`). Tokens without a name, or with one that is not ours, come from
    others who hold a key; they are tried with each.
    """

    def __init__(self, current: SecretStr, retired: Sequence[SecretStr], *, audience: str, skew_seconds: float):
        self._current = _id(current)
        self._header = _segment({"typ": "JWT", "alg": _ALGORITHM, "kid": self._current})
        self._keys = {_id(key): key for key in (*retired, current)}
        self._audience = audience
        self._skew_seconds = skew_seconds

    def sign(self, payload: dict[str, Any]) -> str:
        """Make a token, for the audience set here: the compact serialization of RFC 7515 section 7.1.

        Each upload and download has one made. The library looks at the key anew each time (`token_key`), and takes
        five times as long for that as for all the rest.
        """
        if self._audience:
            payload = {**payload, "aud": self._audience}
        signed = b"%b.%b" % (self._header, _segment(payload))
        signature = hmac.digest(self._value(self._current).encode(), signed, "sha256")
        return (b"%b.%b" % (signed, _base64(signature))).decode("ascii")

    def verify(self, token: str) -> dict[str, Any]:
        """What a token says, if its signature, its audience and the time it begins at are right.

        Whether it has expired is left to the caller.

        Raises:
            jwt.InvalidTokenError: it is no token, or not a good one.
        """
        named = jwt.get_unverified_header(token).get("kid")
        last: jwt.InvalidTokenError = jwt.InvalidSignatureError("Signature verification failed")
        for id_ in [named] if named in self._keys else reversed(self._keys):
            try:
                return self._decoded(token, self._value(id_))
            except jwt.InvalidSignatureError as error:
                last = error
        raise last

    def _decoded(self, token: str, key: str) -> dict[str, Any]:
        payload: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],
            audience=self._audience or None,
            leeway=self._skew_seconds,
            options={"require": ["exp", "aud"] if self._audience else ["exp"], "verify_exp": False},
        )
        return payload

    def _value(self, id_: str) -> str:
        return self._keys[id_].get_secret_value()


def _id(key: SecretStr) -> str:
    return hmac.new(key.get_secret_value().encode(), _ID_OF, hashlib.sha256).hexdigest()[:16]


def _segment(content: Mapping[str, Any]) -> bytes:
    """A part of a token."""
    return _base64(json.dumps(content, separators=(",", ":")).encode())


def _base64(data: bytes) -> bytes:
    """As tokens have it (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")

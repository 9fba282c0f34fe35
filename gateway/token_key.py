"""Keys that tokens may be signed with."""

from __future__ import annotations

import re
from typing import Final

from pydantic import SecretStr

#: How all begin, or what all have, that are keys of another kind, or no text: PEM; SSH; JSON; DER (a SEQUENCE).
_ODD: Final = re.compile(r"-----|[\x00\ud800-\udfff]|\A(?:ssh-|ecdsa-|[\ufeff \t\r\n]*[{\[]|0)")


def check_key(key: SecretStr) -> SecretStr:
    """See that a key is no public one of another kind, or a document about one. Raises ValueError.

    Every command reads the settings, and most of them need no tokens. The library that knows such keys takes half
    as long to import as all the rest, so it is asked about those only that could be one.
    """
    if _ODD.search(key.get_secret_value()):
        import jwt

        try:
            jwt.get_algorithm_by_name("HS256").prepare_key(key.get_secret_value())
        except jwt.InvalidKeyError as error:
            raise ValueError("is a key of another kind (PEM, SSH or JWK), and no shared secret") from error
    return key

"""SHA-256 of uploads, computed while their bytes are stored.

The state of an unfinished digest is kept by the gateway that stored the last byte. Where another one stored some
(or this one was restarted), the bytes are read once more when the upload is finished.
"""

from __future__ import annotations

import hashlib
from typing import Final

from backends.contract import Hasher, Staging
from domain.recent import Recent
from gateway.uploads.session import UploadSession

#: Unfinished digests remembered at most.
_REMEMBERED: Final = 10_000


class Digests:
    """Unfinished digests: how many bytes they have seen, and their state.

    They are kept by upload and when it was begun, for a token's may be begun anew when it is forgotten.
    """

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self._known = Recent[tuple[str, float], tuple[int, Hasher]](_REMEMBERED)

    def resume(self, session: UploadSession, staging: Staging) -> Hasher | None:
        """Have the digest of an upload go on; None if the one there is has not seen all bytes so far."""
        if not self.enabled:
            return None
        seen, hasher = self._known.pop((session.id, session.begun), (0, None))
        if seen != staging.offset:
            return None
        hasher = hasher or hashlib.sha256()
        staging.hashers.append(hasher)
        return hasher

    def keep(self, session: UploadSession, offset: int, hasher: Hasher | None) -> None:
        """Remember a digest that has seen the first `offset` bytes.

        It goes on as a copy: a write the storage gave no answer to in time adds its bytes to this one when it ends.
        """
        if hasher is not None:
            self._known[session.id, session.begun] = (offset, hasher.copy())

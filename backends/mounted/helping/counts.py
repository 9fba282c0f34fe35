"""What a helping process does that counts. Blocking."""

from __future__ import annotations

import errno
import time

from backends.mounted.helping.looking import look_at
from backends.mounted.helping.resolving import find_resolver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: How long one request is worked at, in seconds: others may take over what is left of it then.
_TURN_SECONDS = 0.05


def counting(root: str, local: str) -> Callable[[Any], Any]:
    """Look at directories beneath an open one.

    Args:
        root: its descriptor.
        local: "1" if its file system is of this host alone.
    """
    resolver = find_resolver()

    def count(request: Any) -> Any:
        """Answer with an errno, or what was seen of the first paths, as many as it came to."""
        until = time.monotonic() + _TURN_SECONDS
        found = []
        try:
            for path, leave_out in request:
                found.append(look_at(resolver, int(root), path, leave_out, local=local == "1"))
                if time.monotonic() >= until:
                    break
        except OSError as error:
            return error.errno or errno.EIO, []
        return 0, found

    return count

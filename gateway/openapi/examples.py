"""Names that examples use, one set for all operations: together they are a story that can be played."""

from __future__ import annotations

from typing import Final

VOLUME: Final = "disk"
_USER: Final = "11111111-1111-4111-8111-111111111111"
SCOPE: Final = f"user:{_USER}"
FOLDER: Final = f"{SCOPE}/aabb0001000040008000000000000001"
#: Folders that are made by examples.
NEW_FOLDER: Final = f"{SCOPE}/aabb0002000040008000000000000002"
CLONE: Final = f"{SCOPE}/aabb0003000040008000000000000003"
#: A task, and an upload.
TASK: Final = "018f2f00-0000-7000-8000-000000000001"
SESSION: Final = "0123456789abcdef0123456789abcdef"
#: A file, and a directory.
FILE: Final = "a.txt"
DIRECTORY: Final = "results"

IN_VOLUME: Final = {"volume": VOLUME}
IN_SCOPE: Final = {**IN_VOLUME, "qsid": SCOPE}
IN_FOLDER: Final = {**IN_VOLUME, "vfid": FOLDER}
LIMIT: Final = {"limit_bytes": 1 << 30}

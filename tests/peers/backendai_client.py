"""Uses a folder as Backend.AI's users do, by the code of `backend.ai-client`, and prints what it heard as JSON.

Run by `peer_client.py` with a Python that has that package: `backendai_client.py MANAGER FOLDER SOURCE TARGET`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

from ai.backend.client.config import APIConfig
from ai.backend.client.session import AsyncSession

#: Bytes of one PATCH.
PIECE = 1 << 20


async def main(manager: str, folder_id: str, source: Path, target: Path) -> None:
    config = APIConfig(endpoint=manager, endpoint_type="api", access_key="a key", secret_key="its secret")
    told: dict[str, Any] = {}
    async with AsyncSession(config=config) as session:
        folder = session.VFolder("mine")
        folder.id = UUID(folder_id)  # else a newer client asks the manager's database for it
        await folder.upload(["data", "one"], basedir=source, recursive=True, chunk_size=PIECE)
        await folder.upload([source / "one"], basedir=source, dst_dir="below")
        await folder.mkdir("made/here", parents=True, exist_ok=True)
        await folder.rename_file("data/small", "renamed")
        await folder.move_file("data/renamed", "made/here/moved")
        await folder.download(["data/big", "one"], basedir=target, chunk_size=PIECE)
        told["before"] = names(await folder.list_files("."))
        await folder.delete_files(["below"], recursive=True)
        told["after"] = names(await folder.list_files("."))
        told["made"] = names(await folder.list_files("made/here"))
    print(json.dumps(told))


def names(listing: dict[str, Any]) -> list[str]:
    return sorted(item["name"] for item in listing["items"])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])))

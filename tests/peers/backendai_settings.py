"""Writes into etcd what Backend.AI's storage proxy reads there. Run by a Python that has `backend.ai-common`."""

from __future__ import annotations

import asyncio
import sys

from ai.backend.common.etcd import AsyncEtcd, ConfigScopes
from ai.backend.common.types import HostPortPair


async def main(port: str, redis: str) -> None:
    scopes = {ConfigScopes.GLOBAL: "", ConfigScopes.NODE: "nodes/storage/peer"}
    async with AsyncEtcd([HostPortPair("127.0.0.1", int(port))], "local", scopes) as etcd:
        await etcd.put("config/redis/addr", redis)


asyncio.run(main(*sys.argv[1:]))

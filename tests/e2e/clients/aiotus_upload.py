"""Uploads a file with aiotusclient, as Backend.AI's client does: aiotus_upload.py URL FILE.

The client's own way of asking for the offset fails (0.1.4 calls a method aiohttp's headers do not have), so it can
go on only when it is started again, from an offset that is asked for here.
"""

import asyncio
import sys

import aiohttp
from aiotusclient.client import TusClient


async def offset_of(url: str) -> int:
    """How far the upload is."""
    headers = {"Tus-Resumable": "1.0.0"}
    async with aiohttp.ClientSession() as session, session.head(url, headers=headers) as answer:
        return int(answer.headers["Upload-Offset"])


async def main(url: str, file: str) -> None:
    """Send the file in chunks, from where the server says it is."""
    uploader = TusClient().async_uploader(file_path=file, url=url, chunk_size=8 << 20, retries=0)
    uploader.offset = await offset_of(url)
    await uploader.upload()


asyncio.run(main(*sys.argv[1:]))

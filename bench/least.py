"""The least a server of small uploads can be in Python: no library, no token, no names, no records, no events.

    python -m bench.least PORT DIRECTORY MODE

With the mode `answers` it reads a request and answers it. With the mode `stores` it also makes a file of the body,
syncs it, on a thread, and then answers.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import uvloop

from bench.material import write_synced

_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
_END = b"\r\n\r\n"
_THREADS = 8


class Least(asyncio.Protocol):
    """One connection, on which one request comes after the other."""

    def __init__(self, threads: ThreadPoolExecutor | None, directory: str, numbers: itertools.count[int]) -> None:
        self._threads = threads
        self._directory = directory
        self._numbers = numbers
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # it is of a socket

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, body = self._data.partition(_END)
        length = _LENGTH.search(head)
        if not end or length is None or len(body) < int(length[1]):
            return
        self._data = b""
        answer = b"HTTP/1.1 201 Created\r\nUpload-Offset: %d\r\nContent-Length: 0\r\n\r\n" % len(body)
        if self._threads is None:
            self._transport.write(answer)
            return
        path = f"{self._directory}/{next(self._numbers)}"
        done = asyncio.get_running_loop().run_in_executor(self._threads, write_synced, path, body)
        done.add_done_callback(lambda stored: self._transport.write(answer) if stored.exception() is None else None)


async def _serve(port: int, directory: str, mode: str) -> None:
    threads = ThreadPoolExecutor(_THREADS) if mode == "stores" else None
    make = partial(Least, threads, directory, itertools.count())
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), sys.argv[2], sys.argv[3]))

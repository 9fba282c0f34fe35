"""What all answers given at once have in common: who may ask, and how a head is written (RFC 9112)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from gateway.express.request import SimpleRequest
from gateway.gate import Gate
from gateway.middlewares import request_id_of
from gateway.peers import peer_of
from gateway.protocol.validators import http_date

#: Field that names a request.
REQUEST_ID: Final = "X-Request-ID"
_ADMITTED: Final = nullcontext()
_STATUS_LINES: Final = {one.value: f"HTTP/1.1 {one.value} {one.phrase}\r\n" for one in HTTPStatus}


def admitted(gate: Gate, transport: asyncio.Transport) -> AbstractContextManager[None]:
    """Count who asks, if that may be too much.

    Raises:
        TooManyError: it is.
    """
    peers = gate.client_peers
    return peers.admitted(_peer(gate, transport)) if peers.are_limited else _ADMITTED


def hand_back(gate: Gate, transport: asyncio.Transport) -> None:
    """Leave a request that was admitted to the ordinary way, which counts it anew."""
    gate.client_peers.hand_back(_peer(gate, transport))


def _peer(gate: Gate, transport: asyncio.Transport) -> str:
    """Who asks; requests with X-Forwarded-For are not simple."""
    address = transport.get_extra_info("peername")
    remote = address[0] if isinstance(address, tuple) else ""
    return peer_of(remote, (), gate.settings.trusted_proxies)


def send(transport: asyncio.Transport, data: bytes) -> None:
    """Send an answer.

    A transport keeps the interpreter while the kernel takes the bytes, on the same machine all the way to who gets
    them; written like this, they leave it to the threads that work on other answers.
    """
    sent = 0
    if not transport.get_write_buffer_size() and transport.get_extra_info("sslcontext") is None:
        try:
            sent = os.write(transport.get_extra_info("socket").fileno(), data)
        except OSError:
            sent = 0  # it takes nothing now, or is broken, which the transport finds out as well
    if sent < len(data):
        transport.write(data[sent:])


def identified(request: SimpleRequest) -> SimpleRequest:
    """A request with an id, which it has brought or gets."""
    return replace(request, fields={**request.fields, REQUEST_ID: request_id_of(request.fields)})


def head(status: int, request: SimpleRequest, fields: Mapping[str, str], length: int, same: bytes) -> bytes:
    """The head of an answer.

    Args:
        length: of its body, in bytes.
        same: fields all answers of its kind have, as `written` has them.
    """
    text = field_lines(fields)
    if status != HTTPStatus.NO_CONTENT:
        text += f"Content-Length: {length}\r\n"
    return head_of(status, text, request, same)


def head_of(status: int, fields: str, request: SimpleRequest, same: bytes) -> bytes:
    """The head of an answer with these fields, as `field_lines` has them; its length is one of them."""
    date, identifier = http_date(time.time()), request_id_of(request.fields)
    text = f"{_STATUS_LINES[status]}{fields}Date: {date}\r\n{REQUEST_ID}: {identifier}\r\n"
    return text.encode("latin-1") + same


def field_lines(fields: Mapping[str, str]) -> str:
    """Fields as they are sent."""
    return "".join([f"{name}: {value}\r\n" for name, value in fields.items()])


def written(fields: Mapping[str, str]) -> bytes:
    """Fields at the end of a head, and that end."""
    return field_lines(fields).encode("latin-1") + b"\r\n"

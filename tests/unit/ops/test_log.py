"""Log lines are JSON objects with labels, and never hold values of variables."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import time

import pytest
from aiohttp.http_exceptions import BadStatusLine
from loguru import logger

from ops import log
from ops.settings import LogSettings


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(log.atexit, "register", lambda _: None)
    log.configure(LogSettings(level="DEBUG"), "test")

    def read() -> list[dict[str, str]]:
        time.sleep(0.1)
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    yield read
    logger.remove()
    logger.add(sys.__stderr__)
    logging.root.handlers.clear()


def test_a_line_has_labels(lines) -> None:
    with logger.contextualize(
        vfolder_id="user:x/y", backend="vfs", operation="upload", request_id="r", traceparent=""
    ):
        logger.info("stored {} bytes", 7)
    (line,) = lines()
    assert line["message"] == "stored 7 bytes"
    assert (line["level"], line["role"]) == ("info", "test")
    assert {line[name] for name in ("vfolder_id", "backend", "operation", "request_id")} == {
        "user:x/y",
        "vfs",
        "upload",
        "r",
    }
    assert "traceparent" not in line
    assert line["time"].count(":") >= 2


def test_a_traceback_shows_no_values(lines) -> None:
    def fail(token: str) -> None:
        raise ZeroDivisionError(len(token) and "message")

    token = "-".join(["very", "secret", "token"])
    try:
        fail(token)
    except ZeroDivisionError:
        logger.exception("failed")
    (line,) = lines()
    assert "ZeroDivisionError" in line["exception"]
    assert token not in json.dumps(line)


def test_of_a_request_that_cannot_be_read_no_more_is_logged(lines) -> None:
    """On the internal port, where the library answers by itself."""
    library = logging.getLogger("aiohttp.server")
    library.error("Error handling request from %s", "1.2.3.4", exc_info=BadStatusLine("GET /?token=secret"))
    library.error("Error handling request from %s", "1.2.3.4", exc_info=ZeroDivisionError("a defect"))
    first, second = lines()
    assert (first["level"], first["message"]) == ("debug", "aiohttp.server: BadStatusLine")
    assert "secret" not in json.dumps(first)
    assert second["level"] == "error"
    assert "ZeroDivisionError" in second["exception"]


def test_what_libraries_log_is_taken(lines) -> None:
    logging.getLogger("some.library").warning("careful %s", "now")
    logging.getLogger("some.library").info("chatter")
    (line,) = lines()
    assert line["message"] == "some.library: careful now"


def test_a_stalled_reader_holds_up_nobody_and_lost_lines_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stalled(io.StringIO):
        go_on = threading.Event()

        def write(self, text: str) -> int:
            self.go_on.wait(5)
            return super().write(text)

    monkeypatch.setattr(log, "_WAITING", 100)
    stream = Stalled()
    writer = log.LineWriter(stream)
    started = time.monotonic()
    for number in range(500):
        writer.write(f"{number}\n")
    assert time.monotonic() - started < 1
    stream.go_on.set()
    writer.stop()
    assert "log lines were lost" in stream.getvalue()

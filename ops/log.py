"""Logs: one JSON object a line on standard error, written by a thread of its own.

Rules: configured once a process; a slow reader of the log never holds up the process, lines that find no room
are counted and told of later; labels are `vfolder_id`, `backend`, `operation`, `request_id`, `traceparent`.
"""

from __future__ import annotations

import atexit
import json
import logging
import sys
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TextIO

from loguru import logger

from ops.settings import LogSettings

if TYPE_CHECKING:
    from loguru import Message, Record

#: Tracebacks without the values of variables, which may be secrets.
_QUIET: Final[dict[str, Any]] = {"diagnose": False, "backtrace": False}
#: Lines that may wait to be written.
_WAITING: Final = 20_000
_STOP_SECONDS: Final = 2.0
#: Whose errors are requests that cannot be read.
_NO_HTTP: Final = "aiohttp.http_exceptions"


def configure(settings: LogSettings, role: str) -> None:
    """Send this process's logs, the libraries' included, to standard error."""
    logger.remove()
    logger.configure(extra={"role": role})
    writer = LineWriter(sys.stderr)
    if settings.format == "json":
        logger.add(lambda message: writer.write(_json(message)), level=settings.level, format="{message}", **_QUIET)
    else:
        text = "{time:HH:mm:ss.SSS} {level: <7} {extra[role]} {message}"
        logger.add(lambda message: writer.write(str(message)), level=settings.level, format=text, **_QUIET)
    logging.basicConfig(handlers=[_Forward()], level=logging.WARNING, force=True)
    atexit.register(writer.stop)


def _json(message: Message) -> str:
    record: Record = message.record
    line: dict[str, Any] = {
        "time": record["time"].isoformat(timespec="milliseconds"),
        "level": record["level"].name.lower(),
        "message": record["message"],
        "logger": record["name"],
        **{name: value for name, value in record["extra"].items() if value != ""},
    }
    if record["exception"] is not None:
        line["exception"] = str(message).partition("\n")[2].rstrip()
    return json.dumps(line, default=str) + "\n"


class LineWriter:
    """Writes lines to a stream from a thread."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Queue a line; drop it if too many wait."""
        if self._lines.qsize() >= _WAITING:
            self._lost += 1
        else:
            self._lines.put(line)

    def stop(self) -> None:
        """Write what waits, for a moment."""
        self._lines.put(None)
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            if self._lost:
                lost, self._lost = self._lost, 0
                line += json.dumps({"level": "warning", "message": "log lines were lost", "lost": lost}) + "\n"
            try:
                self._stream.write(line)
                if self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):
                return  # nobody reads the log any more


class _Forward(logging.Handler):
    """Takes what libraries log by the standard library."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on; of what was no HTTP only that, for anybody may send it, as often as he likes."""
        kind = record.exc_info[0] if record.exc_info else None
        if kind is not None and kind.__module__ == _NO_HTTP:
            logger.debug("{}: {}", record.name, kind.__name__)
            return
        level = record.levelname if record.levelname in ("DEBUG", "INFO", "WARNING", "ERROR") else "ERROR"
        logger.opt(exception=record.exc_info).log(level, "{}: {}", record.name, record.getMessage())

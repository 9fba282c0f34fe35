"""Whether Backend.AI's Redis is there, and lets the bridge do what it does."""

from __future__ import annotations

from typing import Final

from redis.exceptions import NoScriptError

from bus.backendai.peer import SEND, SEND_DIGEST
from bus.backendai.wire import CHANNEL, STREAM, STREAM_LENGTH, note_key
from bus.settings import BusSettings
from bus.streams.connection import Connections, Conversation

#: All of it in the words of `ACL SETUSER`; `+select` for any database but the first.
NEEDED_RIGHTS: Final = (
    "+client|setname +select +ping +eval +evalsha +get +set +xadd +publish +subscribe "
    f"~{note_key('*')} ~{STREAM} ~bgtask.* &{CHANNEL}"
)
#: Stands where an id would.
_NOBODY: Final = "doctor"
#: What the bridge does beside running its script, whose GET and SET of its notes are tried.
_NEEDED: Final = (
    ("XADD", STREAM, "*", "name", _NOBODY),
    ("SET", f"bgtask.{_NOBODY}", "", "EX", "1"),
    ("PUBLISH", CHANNEL, ""),
    ("SUBSCRIBE", CHANNEL),
    ("PING",),
)
#: ARGV: a command. 1 if this user may do it, 0 if not, -1 if the server is too old to say.
_MAY: Final = """
if not redis.acl_check_cmd then return -1 end
return redis.acl_check_cmd(unpack(ARGV)) and 1 or 0
"""


async def refused(settings: BusSettings) -> list[str] | None:
    """What the bridge does that this user may not; None: the server is too old to say (before Redis 7).

    Nothing is said to anybody: a note is written that is forgotten in a second.

    Raises:
        BusBrokenError: Redis is away, cannot be written, or does not run scripts for this user.
    """
    async with Connections(settings).blocking(settings.connect_timeout_seconds) as redis:
        answers = [await redis.ask("EVAL", _MAY, 0, *command) for command in _NEEDED]
        missing = [" ".join(command[:2]) for command, may in zip(_NEEDED, answers, strict=True) if may == 0]
        if not missing:
            await _send_nothing(redis)
    return None if -1 in answers else missing


async def _send_nothing(redis: Conversation) -> None:
    head = (2, note_key(_NOBODY), STREAM, 1, STREAM_LENGTH, 0)
    try:
        await redis.ask("EVALSHA", SEND_DIGEST, *head)
    except NoScriptError:
        await redis.ask("EVAL", SEND, *head)

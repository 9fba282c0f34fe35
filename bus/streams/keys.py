"""Names of everything in Redis.

A lane is a volume. All keys of a lane carry the hash tag `{v:<volume>}`, so one script touches one slot; only
the broadcast stream lies elsewhere, which is why Redis Cluster is not supported.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from domain.ids import VolumeName

#: Every event of every volume, in commit order.
BROADCAST: Final = "{bc}:evt"
#: Sorted set: member name -> time last seen, in Redis milliseconds.
MEMBERS: Final = "bus:members"
#: Hash: reader name -> last position it dealt with.
READERS: Final = "bus:readers"
#: Sorted set: reader name -> when it was last there, in milliseconds.
READERS_SEEN: Final = "bus:readers:seen"
#: Hash: reader that was taken off the register -> its last position.
READERS_EXPIRED: Final = "bus:readers:expired"
#: String: last entry that was trimmed off the broadcast.
TRIMMED: Final = "{bc}:trimmed"
#: String: name of this life of the data; another one after everything was lost.
GENERATION: Final = "{bc}:generation"
#: Pub/sub channel on which changes of members and lanes are rung.
DOORBELL: Final = "bus:doorbell"
#: Pub/sub channel on which signals are rung, each by its name.
SIGNALS: Final = "bus:signals"
#: How many hashes an hour of remembered command ids is spread over.
_INBOX_BUCKETS: Final = 64


def commands(volume: VolumeName) -> str:
    """Stream of commands."""
    return f"{{v:{volume}}}:cmd"


def lane(volume: VolumeName) -> str:
    """Hash: owner, epoch, lease end, cursor, counters. Never expires, or the epoch would go back."""
    return f"{{v:{volume}}}:lane"


def events(volume: VolumeName) -> str:
    """Stream of the volume's events: outbox, audit log and source of replays."""
    return f"{{v:{volume}}}:evt"


def outbox(volume: VolumeName) -> str:
    """Hash: part of the volume's outbox -> byte up to which events were taken over from it."""
    return f"{{v:{volume}}}:outbox"


def dead_letters(volume: VolumeName) -> str:
    """Stream of commands that can never be handled."""
    return f"{{v:{volume}}}:dlq"


def command_readers(volume: VolumeName) -> str:
    """Hash: registered reader of the commands -> last position it dealt with."""
    return f"{{v:{volume}}}:readers"


def scratch(name: str) -> str:
    """Stream an operator copies messages to."""
    return f"rpl:{name}"


def quarantine(volume: VolumeName) -> str:
    """Hash: ordering key -> dead letter its commands wait behind."""
    return f"{{v:{volume}}}:quar"


def parked(volume: VolumeName) -> str:
    """Stream of commands that wait behind a dead letter of their key."""
    return f"{{v:{volume}}}:park"


def inbox(volume: VolumeName, command: UUID) -> str:
    """Hash of remembered ids this command's id belongs to.

    A UUIDv7 carries its time, so the id alone tells the hour; no search over several hours is needed.
    """
    hour = (command.int >> 80) // 3_600_000
    return f"{{v:{volume}}}:in:{hour}:{command.int % _INBOX_BUCKETS}"


def reply(volume: VolumeName, command: UUID) -> str:
    """String: the reply to a command."""
    return f"{{v:{volume}}}:r:{command.hex}"


def node_channel(node: str) -> str:
    """Pub/sub channel on which replies and requests to let go reach one process."""
    return f"bus:node:{node}:bell"


def node(node: str) -> str:
    """Hash: what a member can do."""
    return f"bus:node:{node}"


def lease(name: str) -> str:
    """String: holder of a lease."""
    return f"lease:{name}"


def lease_taken(name: str) -> str:
    """String: who was the last to take a lease; outlives it for a while."""
    return f"taken:{name}"


def due(kind: str) -> str:
    """Sorted set: document names of a kind -> when they are due, in milliseconds."""
    return f"due:{kind}"

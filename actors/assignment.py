"""Which member should own which volume: rendezvous hashing with bounded load.

Pure, and the same everywhere for the same members, so no one needs to be asked. Each volume goes to the member
with the highest score for it that has room; when a member comes or goes, few others move.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

from bus.contract import Member
from domain.ids import VolumeName


def assign(volumes: Iterable[VolumeName], members: Sequence[Member]) -> Mapping[VolumeName, str]:
    """Give every volume to a member that can own it; volumes nobody can own are left out."""
    names = sorted(volumes, key=lambda volume: _score(volume, ""))
    limit = -(-len(names) // max(1, len(members)))
    load: Counter[str] = Counter()
    owners: dict[VolumeName, str] = {}
    for volume in names:
        able = [
            member.node for member in members if volume in member.volumes and volume not in member.outgrown
        ] or [member.node for member in members if volume in member.volumes]
        free = [node for node in able if load[node] < limit] or able
        if free:
            owner = max(free, key=lambda node: _score(volume, node))
            owners[volume] = owner
            load[owner] += 1
    return owners


def _score(volume: VolumeName, node: str) -> bytes:
    return blake2b(f"{volume}\0{node}".encode(), digest_size=8).digest()

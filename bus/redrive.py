"""What a dead letter looks like when it is tried again."""

from __future__ import annotations

from dataclasses import replace

from bus.codec import encode_envelope
from bus.contract import DeadLetter


def tried_again(letter: DeadLetter) -> bytes:
    """Its bytes for the queue: its deadline was for who waited then, and the tries before are told."""
    if letter.envelope is None:
        return letter.original
    tries = letter.envelope.attempt + max(1, letter.attempts)
    return encode_envelope(replace(letter.envelope, attempt=tries, deadline=None, reply_to=""))

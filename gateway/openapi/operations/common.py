"""What operations of the manager's port have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.openapi.operations.operation import Model, Operation, Reply
from gateway.openapi.refusals import NO_SECRET, NO_VOLUME, TOO_LARGE, TOO_MANY, WRONG, Refusals

#: By which the manager proves itself.
SECRET: Final = ("manager",)
GUARDED: Final = (*TOO_MANY, *NO_SECRET)


def json(model: Model, words: str, status: int = 200, fields: tuple[str, ...] = ()) -> Reply:
    """An answer in JSON."""
    return Reply(status, words, model, fields=fields)


def done(words: str, fields: tuple[str, ...] = ()) -> Reply:
    """An answer that says no more than that it is done."""
    return Reply(204, words, fields=fields)


def asked(
    body: Model,
    example: Mapping[str, Any],
    *replies: Reply,
    refusals: Refusals = (),
    **more: Any,
) -> Operation:
    """What is asked of a volume by parameters in a JSON body."""
    known = (*GUARDED, *WRONG, *TOO_LARGE, *NO_VOLUME, *refusals)
    return Operation(replies, known, body=body, example=example, security=SECRET, **more)


def queried(
    query: Model, example: Mapping[str, Any], *replies: Reply, refusals: Refusals = (), **more: Any
) -> Operation:
    """What is asked by parameters in the query."""
    known = (*GUARDED, *WRONG, *refusals)
    return Operation(replies, known, query=query, example=example, security=SECRET, **more)


def bare(*replies: Reply, refusals: Refusals = (), **more: Any) -> Operation:
    """What is asked without parameters, but for those in the path."""
    return Operation(replies, (*GUARDED, *refusals), security=SECRET, **more)

"""Answers of operations, by their statuses."""

from __future__ import annotations

from typing import Any, Final

from gateway.openapi.fields import ANSWERED
from gateway.openapi.models import Models
from gateway.openapi.operations.operation import Operation, Reply
from gateway.openapi.problem import CONTENT
from gateway.openapi.refusals import Refusal

_ALWAYS: Final = ("X-Request-ID",)

#: Header fields of answers, as components of the document.
COMPONENTS: Final = {name: field.header() for name, field in ANSWERED.items()}


def responses(operation: Operation, models: Models) -> dict[str, Any]:
    """Every status an operation answers with, and what comes with it."""
    told = {reply.status: _reply(reply, models) for reply in operation.replies}
    for status in {refusal.status for refusal in operation.refusals}:
        refusal = _refusal([one for one in operation.refusals if one.status == status])
        told[status] = _both(told[status], refusal) if status in told else refusal
    for response in told.values():
        response["headers"] |= _headers(*operation.always)
    return {str(status): told[status] for status in sorted(told)}


def _reply(reply: Reply, models: Models) -> dict[str, Any]:
    content: dict[str, Any] = {media: {"schema": _bytes(media)} for media in reply.media}
    if reply.model is not None:
        content["application/json"] = {"schema": models.reference(reply.model)}
    if reply.event is not None:
        for media in content.values():
            media["x-event-data"] = models.reference(reply.event)
    told = {"description": reply.words, "headers": _headers(*reply.fields)}
    return {**told, "content": content} if content else told


def _bytes(media: str) -> dict[str, str]:
    """Text is text; of other bytes nothing is said (OpenAPI 3.1, section 4.8.14.3)."""
    return {"type": "string"} if media.startswith("text/") else {}


def _refusal(refusals: list[Refusal]) -> dict[str, Any]:
    """One status; which problem it is, its type tells."""
    kinds: dict[str, list[str]] = {}
    for one in dict.fromkeys(refusals):
        kinds.setdefault(one.title, []).append(f"`{one.type}`")
    words = "; ".join(f"{title} ({', '.join(types)})" for title, types in kinds.items())
    fields = [name for one in refusals for name in one.fields]
    return {"description": words, "headers": _headers(*fields), "content": CONTENT}


def _both(reply: dict[str, Any], refusal: dict[str, Any]) -> dict[str, Any]:
    """A status that is answered in two ways."""
    return {
        "description": f"{reply['description']}. Or: {refusal['description']}",
        "headers": {**reply["headers"], **refusal["headers"]},
        "content": {**reply.get("content", {}), **refusal["content"]},
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*_ALWAYS, *names)}

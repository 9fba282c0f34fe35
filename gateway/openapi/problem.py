"""The schema of problem documents."""

from __future__ import annotations

from typing import Any, Final

from domain.catalogue import FolderStatus
from domain.errors import Retry
from gateway.problems import CONTENT_TYPE

#: Name of its schema.
PROBLEM: Final = "Problem"
_TEXT: Final = {"type": "string"}

SCHEMA: Final[dict[str, Any]] = {
    "title": PROBLEM,
    "type": "object",
    "description": "problem document (RFC 9457); some have more members, such as the number that was passed",
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "tells programs what is wrong"},
        "title": {"type": "string", "description": "tells people what is wrong"},
        "error_code": {
            "type": "string",
            "pattern": "^[a-z-]+_[a-z-]+_[a-z-]+$",
            "description": "domain, operation and detail, as Backend.AI knows them",
        },
        "msg": {"type": ["string", "null"], "description": "what is wrong with this very request"},
        "data": {"description": "wrong parameters, each with the reason"},
        "retry": {
            "enum": [one.value for one in Retry],
            "description": "whether the same request may succeed later",
        },
        "errno": {"type": ["integer", "null"], "description": "of the file system, for failed file operations"},
        "paths": {"type": "array", "items": _TEXT, "description": "files it is about"},
        "status": {"enum": [one.value for one in FolderStatus], "description": "why the folder cannot be used"},
        "reason": {**_TEXT, "description": "the same in words"},
        "task": {**_TEXT, "description": "the task that is at the folder"},
        "expected-offset": {"type": ["integer", "null"], "description": "where an upload goes on"},
        "provided-offset": {"type": "integer"},
    },
    "required": ["type", "title"],
}

#: What an answer of this kind has for content.
CONTENT: Final = {CONTENT_TYPE: {"schema": {"$ref": f"#/components/schemas/{PROBLEM}"}}}

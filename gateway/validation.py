"""Turns what pydantic finds wrong into the words clients know: a map from field to reason."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from domain.errors import InvalidRequestError


class InvalidParametersError(InvalidRequestError):
    """Parameters of a request are missing, unknown or wrong; `data` says which and why."""

    def __init__(self, data: object) -> None:
        super().__init__("Invalid API parameters")
        self.data = data


def told(error: ValidationError) -> dict[str, Any]:
    """Map each wrong field to a reason. Values given by the caller are not repeated."""
    return {_field(item["loc"]): _reason(item) for item in error.errors(include_url=False, include_input=False)}


def _field(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "body"


def _reason(item: Any) -> str:
    match item["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return f"{item['loc'][-1]} is not allowed key"
        case "string_too_short":
            return "blank value is not allowed"
        case "literal_error":
            return f"value is not exactly {item['ctx']['expected']}"
        case "bool_parsing" | "bool_type":
            return "value can't be converted to Bool"
        case "value_error":
            return str(item["ctx"]["error"])
        case _:
            return str(item["msg"])

"""Schemas of models, each under one name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from gateway.openapi.operations.operation import Model, Operation

_REF: Final = "#/components/schemas/{model}"


class Models:
    """Schemas of everything operations take and answer in JSON."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        models = sorted({model for operation in operations for model in _models(operation)}, key=_name)
        references, found = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
        self._references = {model: str(reference["$ref"]) for (model, _), reference in references.items()}
        self.schemas: dict[str, Any] = found.get("$defs", {})

    def reference(self, model: Model) -> dict[str, str]:
        """Where a model's schema is found."""
        return {"$ref": self._references[model]}


def _models(operation: Operation) -> Iterable[Model]:
    answers = (model for reply in operation.replies for model in (reply.model, reply.event))
    return (model for model in (operation.body, *answers) if model is not None)


def _name(model: Model) -> str:
    return f"{model.__module__}.{model.__name__}"

"""A port's document, and answers held against it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
from harness.openapi_requests import OPERATIONS, Key
from harness.world import Answer, open_world

#: Fields of HTTP itself, which a document tells in other ways or not at all, as those of access control.
OF_HTTP = {"connection", "content-length", "content-type", "date", "server", "transfer-encoding"}


def strict(schema: Any) -> Any:
    """The same schema, with which there are no keys besides."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else {}
    return {**closed, **{name: strict(one) for name, one in schema.items()}}


class Told:
    """A port's document, and answers held against it."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.paths = document["paths"]
        schemas = document["components"]["schemas"]
        self._headers = document["components"]["headers"]
        self._components = {"schemas": {**strict(schemas), "Problem": schemas["Problem"]}}

    def statuses(self, key: Key) -> set[int]:
        return {int(status) for status in self.paths[key[2]][key[1].lower()]["responses"]}

    def check(self, key: Key, answer: Answer) -> None:
        """See that an answer is one of those that are told."""
        where = f"{key}: {answer.status} {answer.body[:300]!r}"
        assert answer.status in self.statuses(key), where
        response = self.paths[key[2]][key[1].lower()]["responses"][str(answer.status)]
        self._check_fields({name.lower() for name in answer.headers}, key, response["headers"], where)
        if not answer.body:
            return
        media = answer.headers["Content-Type"].partition(";")[0]
        assert media in response["content"] or "*/*" in response["content"], where
        if media.endswith("json"):
            self.validate(response["content"][media]["schema"], answer.json)
        if media == "application/problem+json":
            assert f"`{answer.json['type']}`" in response["description"], where

    def _check_fields(self, found: set[str], key: Key, told: Mapping[str, Any], where: str) -> None:
        """See that an answer has no header fields but those that are told, and those it always has."""
        found = {name for name in found if not name.startswith("access-control-")} - OF_HTTP
        required = {name for name in told if self._headers[name].get("required")}
        always = {name.lower() for name in required.union(OPERATIONS[key].always)}
        assert found <= {name.lower() for name in told}, f"{where}: {found}"
        assert always <= found, f"{where}: {found}"

    def validate(self, schema: Mapping[str, Any], found: Any) -> None:
        checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
        whole = {**schema, "components": self._components}
        jsonschema.Draft202012Validator(whole, format_checker=checker).validate(found)


async def told_by(path: Path) -> dict[str, Told]:
    """What both ports say of themselves."""
    async with open_world(path, resumable_uploads=True) as world:
        ports = {"manager": world.manager, "client": world.client}
        return {port: Told((await ask("GET", "/openapi.json")).json) for port, ask in ports.items()}

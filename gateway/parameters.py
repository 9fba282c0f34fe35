"""Reading parameters of requests: JSON bodies (also of GET and DELETE, as the manager sends them) and queries."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, NoReturn, TypeVar

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from domain.errors import InvalidRequestError, TooLargeError
from domain.ids import VFolderId
from gateway.tokens import MAX_TOKEN_BYTES
from gateway.validation import InvalidParametersError, told

M = TypeVar("M", bound=BaseModel)


class Parameters(BaseModel):
    """Base of all parameter sets: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _bool(value: object) -> object:
    """What Backend.AI's clients send for a boolean."""
    if isinstance(value, str) and value.lower() in ("y", "n", "on", "off"):
        return value.lower() in ("y", "on")
    return value


def _relative(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("value is not a string")  # noqa: TRY004
    if value.startswith("/"):
        raise ValueError("expected relative path but the value is absolute")
    return value


def _relatives(value: object) -> list[str]:
    return [_relative(item) for item in (value if isinstance(value, list) else [value])]


#: A boolean in any of the forms clients use.
Bool = Annotated[bool, BeforeValidator(_bool)]
#: A path whose form alone is checked here: where it leads is told apart from a missing parameter later.
PathText = Annotated[str, BeforeValidator(_relative)]
#: One such path, or a list of them.
PathTexts = Annotated[list[str], BeforeValidator(_relatives)]
#: Text with something in it; the longest there is are tokens.
Text = Annotated[str, Field(min_length=1, max_length=MAX_TOKEN_BYTES)]


class FolderParameters(Parameters):
    """Names a folder."""

    volume: Text
    vfid: VFolderId


async def read_body(request: web.Request, model: type[M], max_bytes: int) -> M:
    """Read a JSON object from the body.

    Raises:
        InvalidParametersError: a key is missing, unknown or wrong; or it is no JSON object.
        TooLargeError: the body is larger than allowed.
    """
    data = await _bytes(request, max_bytes)
    return _validated(model, _object(data))


def read_query(request: web.Request, model: type[M]) -> M:
    """Read the query.

    Raises:
        InvalidParametersError: a key is missing, unknown, wrong or given twice.
    """
    query = dict(request.query)
    for name in query:
        if len(request.query.getall(name)) > 1:
            raise InvalidParametersError({name: "is given more than once"})
    return _validated(model, query)


async def _bytes(request: web.Request, max_bytes: int) -> bytes:
    data = bytearray()
    while chunk := await request.content.read(max_bytes + 1 - len(data)):
        data += chunk
        if len(data) > max_bytes:
            raise TooLargeError(f"the body is larger than {max_bytes} bytes", max_bytes=max_bytes)
    return bytes(data)


def _object(data: bytes) -> dict[str, Any]:
    if not data.strip():
        return {}
    try:
        found = _DECODER.decode(data.decode(json.detect_encoding(data), "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError("the body is not valid JSON", field="body") from error
    if not isinstance(found, dict):
        raise InvalidParametersError("value is not a dict")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


#: Made once: `json.loads` would make one for every body.
_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant)


def _validated(model: type[M], values: dict[str, Any]) -> M:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InvalidParametersError(told(error)) from error

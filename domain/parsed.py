"""Lets pydantic read and write values that have a text form of their own.

pydantic is imported when it asks, so that what uses such values without it starts quickly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema


class TextForm:
    """Base of values with `parse(text)` and `str(value)` as inverse functions."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form.

        Raises:
            InvalidRequestError: the text is no such value.
        """
        raise NotImplementedError(cls.__name__)

    @classmethod
    def _from_any(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise ValueError(f"cannot convert value to {cls.__name__}")  # noqa: TRY004  pydantic reports ValueError
        return cls.parse(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            cls._from_any, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "title": cls.__name__}

"""Holds what was found against our own settings, so that what is written can be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from domain.errors import InvalidRequestError
from ops.importing.found import Imported, Key
from ops.settings import Settings

#: Stands for a secret, which is good wherever it is.
_SECRET = "x" * 64


class _Whole(Settings):
    """All settings, from what it is given alone."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def settle(found: Imported) -> None:
    """Take out, and tell, whatever our own settings would not take.

    Raises:
        InvalidRequestError: no volume is left, without which there are no settings.
    """
    while refused := dict(_refused(found)):
        for key, why in refused.items():
            found.refuse(key, f"{why}; what is set without it holds")
    if not any(key[0] == "volumes" for key in found.values):
        told = "; ".join(f"{key}: {why}" for key, why in found.notes.items() if key.split(".")[0] == "volume")
        raise InvalidRequestError(
            f"nothing was written: Penstock needs a volume, and {told or 'there is none in what was read'}"
        )


def _refused(found: Imported) -> Iterator[tuple[Key, str]]:
    try:
        _Whole(**_tree(found))
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False):
            place = tuple(map(str, item["loc"]))
            if place != ("volumes",):
                yield _key_at(found, place), item["msg"]


def _key_at(found: Imported, place: Key) -> Key:
    for key in found.values:
        if place[: len(key)] == key:
            return key
    raise InvalidRequestError(f"nothing was written: our settings do not take {'.'.join(place)}")


def _tree(found: Imported) -> dict[str, Any]:
    tree: dict[str, Any] = {"volumes": {}, "gateway": {"manager_secret": _SECRET, "token_secret": _SECRET}}
    for key, value in found.values.items():
        table = tree
        for name in key[:-1]:
            table = table.setdefault(name, {})
        table[key[-1]] = value
    return tree

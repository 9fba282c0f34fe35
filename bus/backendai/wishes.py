"""What the manager wants mounted or unmounted. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bus.backendai.wire import Heard

_MOUNT: Final = "do_volume_mount"
_UNMOUNT: Final = "do_volume_unmount"
#: Arguments in their order; whose scaling group it is for does not matter here.
_ARGUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    _MOUNT: (
        "directory",
        "volume",
        "scope",
        "location",
        "type",
        "options",
        "scaling_group",
        "edit_fstab",
        "fstab_path",
    ),
    _UNMOUNT: ("directory", "volume", "scope", "scaling_group", "edit_fstab", "fstab_path"),
}
#: Arguments without which there is nobody to answer about anything.
_LEAST: Final = 3
#: What is to be edited where that is not said.
_FSTAB: Final = "/etc/fstab"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the manager wants; whatever it did not say is empty."""

    #: Whether it is to be mounted, not unmounted.
    mount: bool
    directory: str
    volume: str
    scope: str
    location: str
    type: str
    options: str
    edit_fstab: bool
    fstab_path: str

    @classmethod
    def of(cls, heard: Heard) -> Wish | None:
        """Read an event; None if it is about something else."""
        names = _ARGUMENTS.get(heard.name, ())
        given = dict(zip(names, heard.arguments, strict=False))
        if len(given) < _LEAST:
            return None
        said = {name: value for name, value in given.items() if isinstance(value, str)}
        return cls(
            mount=heard.name == _MOUNT,
            directory=said.get("directory", ""),
            volume=said.get("volume", ""),
            scope=said.get("scope", ""),
            location=said.get("location", ""),
            type=said.get("type", ""),
            options=said.get("options", ""),
            edit_fstab=given.get("edit_fstab") is True,
            fstab_path=said.get("fstab_path") or _FSTAB,
        )

    def fields(self, path: Path) -> Mapping[str, str]:
        """What stands in the place of each name in a program's words."""
        return {
            "path": str(path),
            "scope": self.scope,
            "location": self.location,
            "type": self.type,
            "options": self.options,
            "edit_fstab": "true" if self.edit_fstab else "false",
            "fstab_path": self.fstab_path,
        }

    @property
    def problem(self) -> str:
        """Why it cannot be done at all; empty if it can."""
        name = self.directory.rstrip("/")
        if name in ("", ".", "..") or "/" in name:
            return "the directory leads out of the volume"
        words = (self.directory, self.scope, self.location, self.type, self.options, self.fstab_path)
        if any(word.startswith("-") for word in words):
            return "a word that looks like an option of the program"
        if any("\0" in word for word in words):
            return "a word no program can be given"
        return ""

"""Volumes of theirs in ours. There is one driver here, `vfs`: what is mounted is served where it is mounted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from domain.errors import InvalidRequestError
from domain.ids import VolumeName
from ops.importing.found import Imported, LeftOut
from ops.importing.toml import quoted

_HERE: Final = "vfs"
#: Every driver of 26.3, and what its own limits of quota scopes are, if it has some.
DRIVERS: Final[Mapping[str, str]] = {
    _HERE: "",
    "xfs": "project quotas of XFS",
    "purestorage": "",
    "netapp": "quota rules of qtrees",
    "dellemc-onefs": "directory quotas of OneFS",
    "weka": "directory quotas of Weka",
    "gpfs": "quotas of filesets",
    "spectrumscale": "quotas of filesets",
    "cephfs": "attributes ceph.quota.max_bytes",
    "vast": "quotas of VAST",
    "exascaler": "project quotas of Lustre",
    "hammerspace": "sizes of shares",
    "hammerspace-base": "",
}
#: What else is to be known about one.
_MORE: Final = {"hammerspace": "its shares have to be mounted below the volume's path"}
_KEYS: Final = frozenset({"backend", "path", "fsprefix", "options"})


def take_volume(found: Imported, name: str, options: object, base: Path) -> None:
    """Take a volume over, or leave it out with the reason; relative paths are below `base`."""
    theirs = f"volume.{shown(name)}"
    given: Mapping[str, Any] = options if isinstance(options, Mapping) else {}
    driver, path = _text(given.get("backend")), _text(given.get("path"))
    place = None if path is None else base / path
    if troubles := dict(_troubles(name, options, driver, path)):
        for key, why in troubles.items():
            found.note(f"{theirs}{key}", f"the volume was left out: {why}")
        known = _HERE if driver in DRIVERS else driver or ""
        found.left_out.append(LeftOut(name, known, place, "; ".join(troubles.values())))
    else:
        if ("volumes", name, "path") in found.values:
            found.note(theirs, "stands in several files; the last one counts")
        found.put(f"{theirs}.backend", ("volumes", name, "backend"), _HERE)
        found.put(f"{theirs}.path", ("volumes", name, "path"), str(place))
    _tell(found, theirs, driver, given)


def shown(name: str) -> str:
    """A name of theirs, on one line whatever is in it."""
    return name if name.isprintable() and name and " " not in name else quoted(name)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _troubles(name: str, options: object, driver: str | None, path: str | None) -> Iterator[tuple[str, str]]:
    """What keeps a volume from being served, by the end of its key."""
    if not isinstance(options, Mapping):
        yield "", "it is no table"
        return
    try:
        VolumeName.parse(name)
    except InvalidRequestError:
        yield (
            "",
            "its name does not fit: 1 to 64 of letters, digits, `.`, `_` and `-`, not starting with a sign; "
            "a new name has to be told to the manager as well",
        )
    if driver not in DRIVERS:
        yield ".backend", f"there is no driver {quoted(driver)}" if driver else "it names no driver"
    if path is None:
        yield ".path", "it has no path"


def _tell(found: Imported, theirs: str, driver: str | None, given: Mapping[str, Any]) -> None:
    if driver is not None and driver in DRIVERS and driver != _HERE:
        found.note(f"{theirs}.backend", _what_it_means(driver))
    if "fsprefix" in given:
        found.note(f"{theirs}.fsprefix", "26.3 does not use it either: folders lie directly below the path")
    options = given.get("options")
    for option in options if isinstance(options, Mapping) else ():
        found.note(f"{theirs}.options.{shown(option)}", f"the driver {_HERE} has no such option")
    for key in sorted(given.keys() - _KEYS):
        found.note(f"{theirs}.{shown(key)}", "this is no setting of a volume that is known here")


def _what_it_means(driver: str) -> str:
    said = [
        f"{driver} is served as what is mounted at its path, by the driver {_HERE}: its own powers are not used"
    ]
    if driver in _MORE:
        said.append(_MORE[driver])
    if limits := DRIVERS[driver]:
        said.append(f"limits it has set ({limits}) are not carried over: set them anew with PATCH /quota-scope")
        said.append(
            "the storage may go on holding the old ones, and let nothing be moved into a directory that has one: "
            "try to make a folder in such a scope first"
        )
    return "; ".join(said)

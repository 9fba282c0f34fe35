"""What every volume does, as tests."""

from __future__ import annotations

from backends.conformance.contents import Contents
from backends.conformance.folders import Folders
from backends.conformance.names import Names
from backends.conformance.ownership import Ownership
from backends.conformance.powers import Powers
from backends.conformance.scopes import Scopes
from backends.conformance.uploads import Uploads


class BackendConformance(Ownership, Scopes, Folders, Names, Uploads, Contents, Powers):
    """Subclass it and give `open_volume`."""

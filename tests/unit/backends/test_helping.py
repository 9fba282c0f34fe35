"""Helpers start quickly: nothing they import takes long."""

from __future__ import annotations

import subprocess
import sys

#: What may come with them; none of it takes a millisecond.
SMALL = frozenset(
    [
        "backends",
        "collections",
        "ctypes",
        "errno",
        "fcntl",
        "heapq",
        "itertools",
        "keyword",
        "marshal",
        "operator",
        "reprlib",
        "struct",
        "types",
        "__future__",
        "_collections",
        "_ctypes",
        "_heapq",
        "_operator",
        "_struct",
        "_thread",
    ]
)
CODE = """
import sys
before = set(sys.modules)
import backends.mounted.helping.main
print(*set(sys.modules) - before)
"""


def test_a_helper_imports_little() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", CODE], check=True, capture_output=True, text=True)
    imported = {name.partition(".")[0] for name in done.stdout.split()}
    assert "backends" in imported
    assert imported <= SMALL

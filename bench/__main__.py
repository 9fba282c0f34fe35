"""`python -m bench [NAMES] [--size MIB] [--rounds N] [--dir DIRECTORY] [--json]`."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench.bus import bus
from bench.commands import commands
from bench.comparison import Comparison
from bench.downloads import archives, downloads, ranges
from bench.material import MIB
from bench.metadata import metadata
from bench.trees import trees
from bench.uploads import large_uploads, middle_uploads, small_uploads

Suite = Callable[[Path, argparse.Namespace], Iterator[Comparison]]

#: Small files come first: for minutes after many files were removed, ext4 without a journal makes new ones slowly.
SUITES: Mapping[str, Suite] = {
    "small": lambda folder, asked: small_uploads(folder, asked.count, asked.rounds),
    "middle": lambda folder, asked: middle_uploads(folder, max(asked.count // 5, 8), asked.rounds),
    "upload": lambda folder, asked: large_uploads(folder, asked.size * MIB, asked.rounds),
    "download": lambda folder, asked: downloads(folder, asked.size * MIB, asked.rounds),
    "ranges": lambda folder, asked: ranges(folder, asked.size * MIB, asked.count, asked.rounds),
    "archive": lambda folder, asked: archives(folder, 20 * asked.count, asked.rounds),
    "metadata": lambda folder, asked: metadata(folder, asked.count, asked.rounds),
    "trees": lambda folder, asked: trees(folder, 20 * asked.count, 2 * asked.size * MIB, asked.rounds),
    "bus": lambda folder, asked: bus(folder, asked.count, asked.rounds),
    "commands": lambda folder, asked: commands(folder, asked.count, asked.rounds),
}


def main() -> None:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*SUITES, []], help="what to measure; nothing: everything")
    parser.add_argument("--size", type=int, default=1024, help="size of large files in MiB (1024)")
    parser.add_argument("--count", type=int, default=1000, help="number of small files and of commands (1000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, after one for warming up (5)")
    parser.add_argument("--dir", type=Path, default=None, help="where to work; its file system is what is measured")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    documents = []
    for name in asked.names or SUITES:
        with tempfile.TemporaryDirectory(prefix="penstock-bench-", dir=asked.dir) as folder:
            for comparison in SUITES[name](Path(folder), asked):
                documents.append(comparison.document())
                if not asked.json:
                    print("\n".join(comparison.lines()), flush=True)
    if asked.json:
        print(json.dumps(documents, indent=2))


if __name__ == "__main__":
    main()

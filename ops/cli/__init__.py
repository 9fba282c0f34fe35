"""The command line: `penstock`, one file for each group of commands."""

from ops.cli import archive, dlq, folders, import_config, rebuild, replay, roles, scrub, streams, tasks
from ops.cli.main import main

__all__ = [
    "archive",
    "dlq",
    "folders",
    "import_config",
    "main",
    "rebuild",
    "replay",
    "roles",
    "scrub",
    "streams",
    "tasks",
]

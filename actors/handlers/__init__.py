"""What each command does to a volume: one coroutine a command, found in `actors.handlers.table`."""

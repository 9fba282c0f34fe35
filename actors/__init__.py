"""One actor per volume: takes its commands in order, changes its folders, says what happened.

Rules of this room: it sees the contracts of bus and backends, never Redis, HTTP or a file; a handler is a plain
coroutine that returns what happened or raises why not; retries, deadlines and replies are policy, not handler.
"""

"""Getting an envelope from here to there with a stated promise, and the small records all members share.

Rules of this room: it knows Redis and the wire form of envelopes; it does not know storage, HTTP or what a
command means. `bus.contract` says what is promised, `bus.streams` keeps it over Redis Streams, `bus.memory`
is the twin for tests, and `bus.conformance` is the suite both pass.
"""

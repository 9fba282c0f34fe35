"""The bus over Redis Streams: one command stream per volume, one leased owner, one atomic commit."""

from bus.streams.assemble import open_streams_bus

__all__ = ["open_streams_bus"]

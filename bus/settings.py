"""What can be set about the bus."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from domain.bounds import Seconds


class BusSettings(BaseModel):
    """Connection to Redis and the bus's limits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="where Redis is: redis://, rediss:// or unix:// with user, password and database, or "
        "redis+sentinel://host:port,host:port/service/database; may be given as `file:PATH` or `env:NAME`",
    )
    connect_timeout_seconds: Seconds = Field(5.0, gt=0, description="longest wait for a connection, in seconds")
    command_timeout_seconds: Seconds = Field(
        5.0, gt=0, description="longest wait for an answer to a short command, in seconds"
    )
    replicas_to_wait: int = Field(
        0,
        ge=0,
        le=16,
        description="replicas that must have a command before it counts as accepted, so a failover loses none; "
        "needs a Redis with at least as many",
    )
    replica_wait_seconds: float = Field(
        0.5,
        gt=0,
        le=30,
        description="longest wait for these replicas, in seconds; then the producer has to retry",
    )
    lease_seconds: Seconds = Field(
        5.0,
        ge=0.2,
        description="how long a lane stays with an owner that gave no sign of life, in seconds; "
        "a killed actor's volumes move on after at most twice this",
    )
    upload_lease_seconds: Seconds = Field(
        2.0, ge=0.2, description="how long an upload stays with a gateway that gave no sign of life, in seconds"
    )
    queue_limit: int = Field(
        10_000, ge=1, description="commands that may wait on one volume; beyond it producers are told BUSY"
    )
    dead_letter_limit: int = Field(
        10_000,
        ge=1,
        description="dead letters one volume may have; beyond it producers are told BUSY",
    )
    dead_letter_keep_seconds: Seconds = Field(
        90 * 24 * 3600.0,
        ge=3600,
        description="how long a dead letter waits for an operator, in seconds",
    )
    window: int = Field(64, ge=1, le=1024, description="commands of one volume in the hands of its owner at once")
    batch: int = Field(16, ge=1, le=128, description="outcomes committed in one step")
    max_envelope_bytes: int = Field(256 * 1024, ge=1024, description="largest command or event, in bytes")
    remember_seconds: Seconds = Field(
        24 * 3600.0, ge=60, description="how long a command id is recognised as a repetition, in seconds"
    )
    command_keep_seconds: Seconds = Field(
        24 * 3600.0, ge=0, description="how long a command stays on its stream after it was done, in seconds"
    )
    event_keep_seconds: Seconds = Field(
        7 * 24 * 3600.0,
        ge=60,
        description="how long events stay on their streams, in seconds; longer where a registered reader lags",
    )
    reader_keep_seconds: Seconds = Field(
        7 * 24 * 3600.0,
        ge=60,
        description="how long a registered reader that does not show itself holds events back, in seconds",
    )
    reply_seconds: Seconds = Field(3600.0, ge=1, description="how long a reply can be asked for again, in seconds")

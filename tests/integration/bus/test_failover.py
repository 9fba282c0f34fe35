"""Replicas and Sentinels: what was accepted outlives the primary."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
import redis
from harness.processes import until
from harness.redis_server import RedisServer, debian_redis, free_port
from harness.sentinels import Failover, sentinel_url
from pydantic import SecretStr

from bus.codec import decode_envelope
from bus.conformance.words import VOLUME, a_command, done
from bus.contract import Bus
from bus.settings import BusSettings
from bus.streams import keys, open_streams_bus
from bus.streams.server import Server
from domain.errors import BusBrokenError, FencedError, InvalidRequestError

pytestmark = pytest.mark.anyio


@pytest.fixture
def failover(tmp_path: Path) -> Iterator[Failover]:
    servers = Failover(tmp_path)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


def settings_of(url: str, **more: object) -> BusSettings:
    short = {"lease_seconds": 1.0, "command_timeout_seconds": 1.0, "connect_timeout_seconds": 1.0}
    return BusSettings(url=SecretStr(url), **(short | more))


async def serve(bus: Bus) -> None:
    """Answer every command, for ever; whatever happens to the lane, take it again."""
    while True:
        try:
            lane = await bus.lanes.acquire(VOLUME)
            if lane is None:
                await anyio.sleep(0.05)
                continue
            while True:
                await lane.commit([done(delivery) for delivery in await lane.receive()])
        except (FencedError, BusBrokenError):
            await anyio.sleep(0.05)


async def test_no_accepted_command_is_lost_or_doubled_when_the_primary_dies(failover: Failover) -> None:
    settings = settings_of(failover.url, replicas_to_wait=1)
    accepted: list[object] = []
    async with (
        open_streams_bus(settings, "manager") as manager,
        open_streams_bus(settings, "actor") as actor,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(serve, actor)

        async def produce() -> None:
            while True:
                command = a_command(manager)
                while True:
                    try:
                        await manager.commands.publish(command)
                    except BusBrokenError:
                        await anyio.sleep(0.02)  # the same again: whether it was accepted is not known
                    else:
                        break
                accepted.append(command.id)

        for _ in range(4):
            tasks.start_soon(produce)
        for _ in range(2):
            await anyio.sleep(0.5)
            before = len(accepted)
            await anyio.to_thread.run_sync(failover.fail_over)
            with anyio.fail_after(20):
                while len(accepted) < before + 50:
                    await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()
    async with open_streams_bus(settings, "later") as bus, anyio.create_task_group() as tasks:
        tasks.start_soon(serve, bus)
        with anyio.fail_after(20):
            while (await bus.inspection.lane(VOLUME)).waiting:
                await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()
    with redis.Redis(port=failover.primary().port) as client:
        events = [decode_envelope(fields[b"m"]) for _, fields in client.xrange(keys.events(VOLUME))]
    causes = [event.origin.cause for event in events]
    assert set(accepted) <= set(causes)
    assert len(causes) == len(set(causes))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[RedisServer]:
    """A server nobody should talk to."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    server = RedisServer(debian_redis(), folder)
    server.start()
    yield server
    server.stop()


async def test_a_sentinel_cut_off_from_the_others_is_not_believed(
    failover: Failover, elsewhere: RedisServer
) -> None:
    stranger = failover.start_stranger(elsewhere)
    for late in (False, True):  # outvoted; and alone against one that has seen a failover
        if late:
            await anyio.to_thread.run_sync(failover.fail_over)
        asked = failover.ports[:1] if late else failover.ports[:2]
        async with open_streams_bus(settings_of(sentinel_url(stranger, *asked)), "manager") as bus:
            command = a_command(bus)
            await bus.commands.publish(command)
        with redis.Redis(port=elsewhere.port) as client:
            assert client.dbsize() == 0
        with redis.Redis(port=failover.primary().port) as client:
            assert client.xlen(keys.commands(VOLUME)) == 1 + late


async def test_a_sentinel_that_says_nothing_holds_nobody_up(failover: Failover) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = sentinel_url(silent.getsockname()[1], *failover.ports[:2])
        async with open_streams_bus(settings_of(url), "manager") as bus:
            await bus.commands.publish(a_command(bus))


async def test_without_waiting_a_lagging_replica_loses_what_was_accepted(failover: Failover) -> None:
    """The negative control: the same loss of the primary, with the wait switched off."""
    primary, replica = failover.servers
    replica.kill()  # it lags by everything that comes now
    careful = settings_of(primary.url, replicas_to_wait=1, replica_wait_seconds=0.1)
    async with (
        open_streams_bus(settings_of(primary.url), "hasty") as hasty,
        open_streams_bus(careful, "careful") as waiting,
    ):
        lost, refused = a_command(hasty), a_command(waiting)
        await hasty.commands.publish(lost)
        with pytest.raises(BusBrokenError):
            await waiting.commands.publish(refused)
    primary.kill()
    await anyio.to_thread.run_sync(replica.start)
    with redis.Redis(port=replica.port) as client:
        client.replicaof("NO", "ONE")
    async with open_streams_bus(settings_of(replica.url), "later") as bus:
        for command in (lost, refused):
            assert not (await bus.commands.publish(command)).duplicate


async def test_a_command_no_replica_has_is_not_called_accepted(tmp_path: Path) -> None:
    """The negative control of the one above, and what a producer sees where replicas are missing."""
    server = RedisServer(debian_redis(), tmp_path)
    server.start()
    try:
        settings = settings_of(server.url, replicas_to_wait=1, replica_wait_seconds=0.1)
        async with open_streams_bus(settings, "manager") as bus:
            command = a_command(bus)
            for _ in range(2):
                with pytest.raises(BusBrokenError, match="0 of 1 replicas"):
                    await bus.commands.publish(command)
        async with open_streams_bus(settings_of(server.url), "other") as bus:
            assert (await bus.commands.publish(command)).duplicate
    finally:
        server.stop()


async def test_users_passwords_and_databases_reach_the_server(tmp_path: Path) -> None:
    server = RedisServer(debian_redis(), tmp_path)
    server.start()
    try:
        with redis.Redis(port=server.port) as client:
            client.acl_setuser(
                "penstock", enabled=True, passwords=["+s3cr%t/"], categories=["+@all"], keys=["*"], channels=["*"]
            )
            client.acl_setuser("default", enabled=False)
        url = f"redis://penstock:s3cr%25t%2F@127.0.0.1:{server.port}/3"
        async with open_streams_bus(settings_of(url), "a") as bus:
            await bus.commands.publish(a_command(bus))
        with pytest.raises(BusBrokenError) as caught:
            async with open_streams_bus(settings_of(url.replace("s3cr", "wrong")), "a"):
                pass
        assert "wrong" not in str(caught.value)
    finally:
        server.stop()


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "redis+sentinel://",
        "redis+sentinel://h:26379",
        "redis+sentinel://h:26379/name/x",
        "redis+sentinel://h:x/name",
        "redis+sentinel://:26379/name",
    ],
)
def test_a_url_that_leads_nowhere_is_refused_without_telling_it(url: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Server.parse(url)
    assert caught.value.facts["field"] == "bus.url"


def test_a_sentinel_url_is_read_whole() -> None:
    server = Server.parse(
        "rediss+sentinel://me:p%40ss@one:1,two/name/2?sentinel_username=s&sentinel_password=q&ssl_ca_certs=/ca"
    )
    told = server.sentinels
    assert told is not None
    assert told.addresses == (("one", 1), ("two", 26379))
    assert told.service == "name"
    assert told.server == {"db": 2, "username": "me", "password": "p@ss"}
    assert told.own == {"username": "s", "password": "q"}
    assert told.tls == {"ssl_cert_reqs": "required", "ssl_ca_certs": "/ca"}
    assert "p@ss" not in repr(server)
    assert "p%40ss" not in repr(server)


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """URL of a server that speaks only TLS, and the certificate it shows."""
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=127.0.0.1"]
    extra = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*words, *names, *extra], cwd=tmp_path, check=True, capture_output=True)
    port, certificate = free_port(), tmp_path / "cert.pem"
    options = {
        "port": 0,
        "tls-port": port,
        "tls-auth-clients": "no",
        "tls-cert-file": certificate,
        "tls-key-file": tmp_path / "key.pem",
        "tls-ca-cert-file": certificate,
        "save": "",
        "dir": tmp_path,
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([debian_redis(), *flags], stdout=log, stderr=log)
    try:
        told = tmp_path / "log"
        until(lambda: server.poll() is not None or b"Ready to accept" in told.read_bytes(), "the server is ready")
        assert server.poll() is None, told.read_text()
        yield f"rediss://127.0.0.1:{port}/0", certificate
    finally:
        server.kill()
        server.wait()


async def test_tls_is_spoken_and_the_certificate_looked_at(tls_server: tuple[str, Path]) -> None:
    url, certificate = tls_server
    patient = {"connect_timeout_seconds": 10.0}  # nobody dies here
    async with open_streams_bus(settings_of(f"{url}?ssl_ca_certs={certificate}", **patient), "a") as bus:
        await bus.commands.publish(a_command(bus))
    with pytest.raises(BusBrokenError):  # a certificate nobody vouches for
        async with open_streams_bus(settings_of(url, **patient), "a"):
            pass

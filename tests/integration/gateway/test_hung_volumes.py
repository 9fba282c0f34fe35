"""Uploads on one volume while another one stands still."""

from __future__ import annotations

import anyio
import pytest
from harness.fields import BODY
from harness.tus import LARGE, Collection
from harness.world import World

from bus.relay import Relay
from domain.errors import BackendUnavailableError
from domain.ids import VolumeName

pytestmark = [pytest.mark.anyio, pytest.mark.gateway(relays=False), pytest.mark.folder]

#: An id nobody gave out.
UNKNOWN = "/files/" + "0" * 32


class Hung(Relay):
    """The relay of a volume that stands still."""

    def __init__(self) -> None:
        self.asked = 0

    async def settle(self) -> None:
        self.asked += 1
        await anyio.sleep(60)
        raise BackendUnavailableError("hung")


@pytest.fixture
def hung(world: World) -> Hung:
    relay = Hung()
    world.gate.relays._relays = {VolumeName("another"): relay, **world.gate.relays._relays}
    return relay


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE", "GET"])
async def test_an_upload_nobody_knows_is_looked_for_on_its_own_volume(
    files: Collection, hung: Hung, method: str
) -> None:
    with anyio.fail_after(10):
        answer = await files.ask(method, UNKNOWN, {**BODY, "Upload-Offset": "0"})
    assert (answer.status, hung.asked) == (404, 0)


async def test_an_upload_that_was_whole_at_once_is_found_before_it_is_told_of(
    world: World, files: Collection, hung: Hung
) -> None:
    with anyio.fail_after(10):
        answer = await files.create(3, data=b"abc")
        assert answer.status == 201
        assert not world.events("file.uploaded"), "nobody has taken it over yet"
        head = await files.head("/" + answer.headers["Location"])
    assert (head.status, head.headers["Upload-Offset"], hung.asked) == (200, "3", 0)


async def test_who_looks_after_uploads_asks_no_volume_for_what_is_gone(world: World, hung: Hung) -> None:
    await world.upload_token("a", LARGE)
    (record,) = [name for name in world.store.records if name.startswith("upload:")]
    world.store.records[record].due = 1.0
    with anyio.fail_after(10):
        await world.gate.uploads.sweep(10)
    assert hung.asked == 0

"""Refusals of every operation are what the documents say: those that are listed, and no others."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from harness.fields import metadata
from harness.world import FOLDER, World
from unit.gateway.openapi_requests import (
    DOWNLOADS,
    FOLDER_PATH,
    HELLO,
    OPERATIONS,
    READ_BACK,
    SCOPE_PATH,
    Key,
    Request,
    add_volume,
    barely,
    begin,
    changed,
    claim,
    filled,
    opened,
    rightly,
    token,
)
from unit.gateway.openapi_told import Told, told_by

from actors.handlers.table import HANDLERS, Handler
from backends.contract import Operation
from backends.mounted.files import MountedReadHandle
from domain import errors
from domain.catalogue import FolderStatus, status_record
from domain.ids import VFolderId, VolumeName
from domain.task_commands import CancelTask
from domain.tasks import TaskState, task_record
from gateway.openapi.examples import CLONE, NEW_FOLDER
from gateway.tokens import ArchiveClaims, DownloadClaims

pytestmark = pytest.mark.anyio

#: What no upload here hashes to.
OTHER_SHA256 = metadata(filename="up", sha256="0" * 64)
OTHER_DIGEST = f"sha-256=:{'A' * 43}=:"


@dataclass
class Provoked:
    """Refusals, each held against the document."""

    documents: Mapping[str, Told]
    statuses: dict[Key, set[int]] = field(default_factory=lambda: defaultdict(set))

    async def send(self, *requests: Request) -> None:
        for request in requests:
            answer = await request.send()
            self.documents[request.key[0]].check(request.key, answer)
            if answer.status >= 400:
                self.statuses[request.key].add(answer.status)


def makes_something(key: Key) -> int:
    """How surely it makes a scope or a folder: 2 at once, 1 if there is something to be cloned, 0 never."""
    making = ("/quota-scope", "/folder/create", "/folder/migrate", SCOPE_PATH, FOLDER_PATH)
    return 1 if key[2].endswith("/clone") else 2 if key[1] in ("POST", "PUT", "PATCH") and key[2] in making else 0


TRASHED = [("manager", "POST", "/folder/restore"), ("manager", "POST", "/folder/purge")]
COMMANDS = [key for key in OPERATIONS if any(one.name == "Idempotency-Key" for one in OPERATIONS[key].fields)]


async def all_of(world: World, keys: Iterable[Key] = OPERATIONS, **more: Mapping[str, Any]) -> list[Request]:
    """Operations asked rightly, those last that make what others may miss; deletions are named.

    Args:
        more: keys for the bodies of those whose path ends on a word.
    """
    requests = []
    for key in sorted(keys, key=makes_something):
        right = await rightly(world, key)
        named = {"trash": str(uuid4())} if key in TRASHED else {}
        besides = more.get(key[2].rpartition("/")[2], {}) if key[1] == "POST" else {}
        requests.append(right.but({**named, **besides}) if named or besides else right)
    return requests


async def too_often(path: Path, provoked: Provoked) -> None:
    async with opened(path, peer_rate=1e-6, manager_peer_rate=1e-6) as world:
        await world.manager("GET", "/volumes")
        await world.client("GET", "/docs")
        await provoked.send(*(barely(world, key) for key in OPERATIONS))


#: Header fields that are wrong.
WRONG_FIELDS = (
    {"Authorization": None},
    {"Tus_Resumable": None},
    {"Upload_Offset": "3"},
    {"X_HTTP_Method_Override": None},
    {"Repr_Digest": OTHER_DIGEST},
    {"Upload_Metadata": OTHER_SHA256},
    {"Content_Type": "text/plain"},
    {"Idempotency_Key": "two words"},
    {"If_Match": '"another"'},
    {"Range": "bytes=1000000-"},
)


def wrongly(right: Request, other: str) -> Iterator[Request]:
    """A request with one thing wrong at a time."""
    operation, bearer = OPERATIONS[right.key], f"Bearer {other}"
    if operation.security == ("manager",):
        yield right.but(X_BackendAI_Storage_Auth_Token="another")
    if isinstance(right.body, bytes):
        yield right.but(b"5\r\nhello\r\n0\r\n\r\n", Transfer_Encoding="gzip, chunked")
    if isinstance(right.body, dict):
        yield replace(right, body={"nonsense": 1})
        yield replace(right, body=b" " * 2000)
        yield right.but({name: "nowhere" for name in right.body if name.endswith("volume")})
        yield right.but({name: "../away" for name in right.body if name.endswith("relpath")})
    if operation.query:
        yield right.but(query={"token": "x", **right.query, "nonsense": "1"}, Authorization=None)
        yield right.but(query={**right.query, **({"volume": "nowhere"} if "volume" in right.query else {})})
    if "token" in right.query:
        yield from (right.but(query={**right.query, "token": token}) for token in (other, f"{other}x", "x"))
    if "/disk" in right.path:
        yield right.but(path=right.path.replace("/disk", "/nowhere"))
    if "{session}" in right.key[2] and operation.security:
        yield right.but(path=right.path[:-32] + "0" * 32)
    for fields in ({"Authorization": bearer}, *WRONG_FIELDS):
        looked_at = {*right.headers, *(one.name for one in operation.fields)}
        if looked_at & {name.replace("_", "-") for name in fields}:
            yield right.but(**fields)
    if right.key[0] == "manager" and not operation.security:
        yield replace(right, body={})
    if isinstance(right.body, bytes):
        yield right.but(right.body * 3)  # which may be the end of the upload


async def wrong(path: Path, provoked: Provoked) -> None:
    async with filled(path, max_body_bytes=1024) as world:
        other = await token(world, "download")
        for right in await all_of(world):
            await provoked.send(*(request for request in wrongly(right, other) if request != right))


async def no_storage(
    path: Path, provoked: Provoked, error: errors.PenstockError, only: set[str] | None = None
) -> None:
    """Everything the storage is asked for fails, or only some; also where an actor asks."""

    async def fail(*_: object, **__: object) -> None:
        raise error

    def broken(part: Any) -> Any:
        names = {name for name in dir(part) if inspect.iscoroutinefunction(getattr(part, name))} - {"health"}
        members = dict.fromkeys(names if only is None else names & only, fail)
        if hasattr(part, "files"):
            extra = {} if only else {"metrics": fail}
            return changed(part, files=lambda _, folder: broken(part.files(folder)), **members, **extra)
        return changed(part, read_at_once=lambda *_: None, **members)

    async with filled(path) as world:
        requests = await all_of(world)
        world.gate.volumes["disk"] = broken(world.volume)
        world.gate.quotas.limits._known.clear()
        with pytest.MonkeyPatch.context() as patch:
            for command in set(HANDLERS) - {CancelTask}:
                patch.setitem(HANDLERS, command, Handler(fail, HANDLERS[command].failed))
            await provoked.send(*requests)


async def no_bus(path: Path, provoked: Provoked) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise errors.BusBrokenError("Redis is away")

    def fail_at_once(*_: object, **__: object) -> None:
        raise errors.BusBrokenError("Redis is away")

    async with filled(path) as world:
        many = {"archive-download-token": {"files": [f"{number:0100}" for number in range(100)]}}
        requests, bus = await all_of(world, **many), world.gate.bus
        with pytest.MonkeyPatch.context() as patch:
            for part in (bus.commands, bus.records, bus.catalogue):
                for name in dir(type(part)):
                    if inspect.iscoroutinefunction(getattr(part, name)):
                        patch.setattr(part, name, fail)
            patch.setattr(bus.events, "publish", fail)
            patch.setattr(bus.events, "watch", fail_at_once)
            patch.setattr(bus.leases, "hold", fail_at_once)
            await provoked.send(*requests)


async def no_answer(path: Path, provoked: Provoked) -> None:
    async with filled(path) as world:
        world.gate.commander._timeout = 1e-6
        await provoked.send(*await all_of(world, COMMANDS))


async def used_key(path: Path, provoked: Provoked) -> None:
    async with filled(path) as world:
        used = {"Idempotency_Key": "used"}
        request = barely(world, ("manager", "POST", "/quota-scope"))
        await request.but({"qsid": f"project:{uuid4()}"}, **used).send()
        await provoked.send(*(right.but(**used) for right in await all_of(world, COMMANDS)))


async def nothing_there(path: Path, provoked: Provoked) -> None:
    async with opened(path) as world:
        await provoked.send(*await all_of(world, (key for key in OPERATIONS if key[0] == "manager")))


async def no_folder(path: Path, provoked: Provoked, status: FolderStatus | None = None) -> None:
    """The folder is not at its place; if `status` is told, it will be."""
    moved = {"src_volume": "tape", "dst_volume": "disk"}
    async with filled(path) as world:
        await add_volume(world)
        requests = await all_of(world, tasks={"vfid": FOLDER}, migrate=moved)
        world.folder.rename(world.path / "elsewhere")
        if status is not None:
            record = status_record(VFolderId.parse(FOLDER), VolumeName("disk"))
            world.store.view.records[record] = {"status": status.value, "reason": "it comes", "task": "t"}
        forgotten = claim(world)
        lost = barely(world, READ_BACK).but(Authorization=f"Bearer {forgotten.token}")
        await provoked.send(lost.but(path=f"/files/{forgotten.session}"), *requests)


async def in_the_way(path: Path, provoked: Provoked) -> None:
    async with filled(path, event_streams=0, archive_limit=1) as world:
        for folder in (NEW_FOLDER, CLONE):
            await world.make_folder(folder)
        held = Operation(world.gate.bus.clock.new_id(), await world.volume.epoch())
        await world.volume.withdraw_folder(held, VFolderId.parse(NEW_FOLDER), uuid4())
        await world.make_folder(NEW_FOLDER)
        for key in (
            ("manager", "POST", "/quota-scope"),
            ("manager", "POST", "/folder/create"),
            ("manager", "POST", "/folder/migrate"),
            ("manager", "POST", SCOPE_PATH),
            ("manager", "POST", FOLDER_PATH),
            ("manager", "PUT", f"{FOLDER_PATH}/clone"),
            ("manager", "GET", "/events"),
            ("manager", "GET", "/tasks/{task}/events"),
        ):
            await provoked.send(barely(world, key))
        for name in ("restore", "purge"):
            right = barely(world, ("manager", "POST", f"/folder/{name}"))
            await provoked.send(right.but({"vfid": NEW_FOLDER, "trash": str(held.id)}))
        world.store.view.records[task_record(UUID(world.extra["task"]))]["state"] = TaskState.DONE
        await provoked.send(barely(world, ("manager", "DELETE", "/tasks/{task}")))


async def too_much(path: Path, provoked: Provoked) -> None:
    async def full(*_: object) -> None:
        raise errors.StorageFullError("no room for a digest")

    async with filled(path, archive_limit=1) as world:
        for name in ("b.txt", "c.txt"):
            (world.folder / name).write_bytes(HELLO)
        everything = {"files": ["."]}
        selected = barely(world, ("manager", "POST", "/folder/file/archive-download-token")).but(everything)
        tokens = {
            "/download": await world.download_token("."),
            "/download-archive": (await selected.send()).json["token"],
        }
        for method, where in product(("GET", "HEAD"), DOWNLOADS):
            more = {"archive": "1"} if where == "/download" else {}
            right = barely(world, ("client", method, where))
            await provoked.send(right.but(query={"token": tokens[where], **more}))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(MountedReadHandle, "keep_sha256", full)
            verify = barely(world, ("manager", "POST", "/folder/file/verify"))
            await provoked.send(verify.but({"relpath": "b.txt", "keep": True}))


async def other_uploads(path: Path, provoked: Provoked) -> None:
    """Uploads that somebody else is at, that are gone, or become something else than was announced."""
    async with filled(path) as world:
        for key, operation in OPERATIONS.items():
            if key[0] == "manager" or not operation.security or key[2] in DOWNLOADS:
                continue
            upload = await begin(world)
            if key[1] == "DELETE":
                await rightly(world, READ_BACK, upload)
            right = await rightly(world, key, upload)
            async with world.gate.bus.leases.hold(f"upload:{upload.session}", wait_seconds=10):
                await provoked.send(right)
            drop = await rightly(world, ("client", "DELETE", "/files/{session}"), upload)
            assert (await drop.send()).status in (204, 410)
            await provoked.send(right)
            other = await begin(world, Upload_Metadata=OTHER_SHA256)
            if key != READ_BACK:
                await provoked.send(await rightly(world, key, other))
            else:
                await provoked.send(
                    right.but(path=f"/files/{other.session}", Authorization=f"Bearer {other.token}")
                )


async def begun_again(path: Path, provoked: Provoked) -> None:
    """An upload of which some is there already; and one that would have to be named by its token."""
    post, put = ("client", "POST", "/uploads"), ("client", "PUT", "/uploads")
    async with filled(path) as world:
        for key in (post, put):
            right = replace(await rightly(world, put), key=key)
            await provoked.send(right.but(b"h", Upload_Complete="?0"), right)
        await provoked.send(replace(await rightly(world, post), key=put))


async def in_an_archive(path: Path, provoked: Provoked) -> None:
    """Something that an archive which has to be complete cannot have."""
    async with filled(path) as world:
        (world.folder / "box").mkdir()
        (world.folder / "box" / "away").symlink_to("/etc")
        (world.folder / "box" / "file").touch()
        exp = world.gate.tokens.expiry()
        of_path = DownloadClaims(volume="disk", vfid=FOLDER, relpath=".", archive=True, exp=exp)
        several = ArchiveClaims(volume="disk", virtual_folder_id=FOLDER, files=("box",), exp=exp)
        for place, claims in (("/download", of_path), ("/download-archive", several)):
            for method in ("GET", "HEAD"):
                right = barely(world, ("client", method, place))
                await provoked.send(right.but(query={"token": world.gate.tokens.sign(claims), "strict": "1"}))


async def gone_selection(path: Path, provoked: Provoked) -> None:
    async with filled(path) as world:
        exp = world.gate.tokens.expiry()
        claims = ArchiveClaims(volume="disk", virtual_folder_id=FOLDER, selection=uuid4().hex, exp=exp)
        for method in ("GET", "HEAD"):
            right = barely(world, ("client", method, "/download-archive"))
            await provoked.send(right.but(query={"token": world.gate.tokens.sign(claims)}))


async def part_of_another(path: Path, provoked: Provoked) -> None:
    """A part for which another upload waits already."""
    async with filled(path) as world:
        right = (await rightly(world, ("client", "POST", "/files"))).but(Content_Type=None)
        right = replace(right, body=None)
        part = await right.but(Upload_Concat="partial", Upload_Metadata=None).send()
        final = right.but(Upload_Concat=f"final;/{part.headers['Location']}", Upload_Length=None)
        assert (await final.send()).status == 201
        await provoked.send(final.but(Upload_Metadata=metadata(filename="another")))


#: What changes a volume's files.
WRITING = {
    *("make_directories", "move", "delete", "sync_names", "place_whole"),
    *("create_staging", "stage_whole", "sync_staging", "commit_staging"),
}
CONDITIONS: list[Callable[[Path, Provoked], Awaitable[None]]] = [
    too_often,
    wrong,
    partial(no_storage, error=errors.BackendFaultError("it fails")),
    partial(no_storage, error=errors.BackendUnavailableError("it is away")),
    partial(no_storage, error=errors.ForbiddenError("it does not permit it")),
    partial(no_storage, error=errors.StorageFullError("it is full"), only=WRITING),
    partial(no_storage, error=errors.QuotaExceededError("nothing more"), only=WRITING),
    no_bus,
    no_answer,
    used_key,
    nothing_there,
    no_folder,
    partial(no_folder, status=FolderStatus.CLONING),
    in_the_way,
    too_much,
    other_uploads,
    begun_again,
    in_an_archive,
    gone_selection,
    part_of_another,
]


async def test_refusals_are_as_told(tmp_path: Path) -> None:
    documents = await told_by(tmp_path)
    provoked = Provoked(documents)
    for number, condition in enumerate(CONDITIONS):
        await condition(tmp_path / str(number), provoked)
    for key in OPERATIONS:
        told = {status for status in documents[key[0]].statuses(key) if status >= 400}
        assert provoked.statuses[key] == told, key

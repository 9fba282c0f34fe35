"""Who may change a volume, and what its owners leave to each other."""

from __future__ import annotations

from collections.abc import Awaitable
from uuid import uuid4

import pytest

from backends.conformance.opening import OpensVolume
from backends.conformance.words import FOLDER, OTHER, OTHER_SCOPE, SCOPE, op
from backends.contract import Operation
from domain.errors import ConflictError, FencedError, NotFoundError


class Ownership(OpensVolume):
    """Who may change a volume, and what its owners leave to each other."""

    async def test_epochs_only_grow(self) -> None:
        async with self.open_volume() as volume:
            assert await volume.epoch() == 0
            for epoch in (1, 2, 7):
                await volume.take_over(epoch)
                assert await volume.epoch() == epoch
            for epoch in (0, 3, 7):
                with pytest.raises(FencedError):
                    await volume.take_over(epoch)
            assert await volume.epoch() == 7

    async def test_a_journal_is_read_by_every_later_owner(self) -> None:
        async with self.open_volume() as volume:
            assert await volume.journal() == []
            await volume.take_over(1)
            await volume.append_journal(1, [b"a", b"\0"])
            await volume.append_journal(1, [b"b" * 70_000])
            await volume.take_over(5)
            await volume.append_journal(5, [b"c"])
            await volume.append_journal(1, [b"late"])
            found = await volume.journal()
            assert sorted(found) == [b"\0", b"a", b"b" * 70_000, b"c", b"late"]
            assert found.index(b"a") < found.index(b"b" * 70_000) < found.index(b"c")

    async def test_an_owner_that_comes_too_late_changes_no_folder(self) -> None:
        async with self.with_folder() as (volume, _):
            late: tuple[Awaitable[object], ...] = (
                volume.delete_folder(op(), FOLDER),
                volume.create_folder(op(), OTHER, 0o755),
                volume.set_quota(op(), SCOPE, 1),
                volume.delete_scope(op(), SCOPE),
                volume.create_scope(op(), OTHER_SCOPE, None),
                volume.ensure_scope(op(), OTHER_SCOPE),
            )
            await volume.take_over(3)
            for change in late:
                with pytest.raises(FencedError):
                    await change
            assert [folder async for folder in volume.folders()] == [FOLDER]
            assert (await volume.quota(SCOPE)).limit_bytes is None
            assert await volume.trash() == []
            with pytest.raises(NotFoundError):
                await volume.quota(OTHER_SCOPE)

    async def test_a_new_owner_finds_what_the_last_one_did(self) -> None:
        async with self.with_folder() as (volume, _):
            creation, deletion = uuid4(), uuid4()
            await volume.create_folder(Operation(creation), OTHER, 0o755)
            await volume.delete_folder(Operation(deletion), FOLDER)
            await volume.take_over(1)
            await volume.create_folder(Operation(creation, 1), OTHER, 0o755)
            await volume.delete_folder(Operation(deletion, 1), FOLDER)
            assert [entry.id for entry in await volume.trash()] == [deletion]
            with pytest.raises(ConflictError):
                await volume.create_folder(Operation(uuid4(), 1), OTHER, 0o755)

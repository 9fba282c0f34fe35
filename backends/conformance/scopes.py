"""Quota scopes and their limits."""

from __future__ import annotations

import pytest

from backends.conformance.opening import OpensVolume
from backends.conformance.words import FOLDER, SCOPE, op
from backends.contract import EnsuredScope
from domain.errors import ConflictError, NotFoundError, Subject
from domain.usage import Quota


class Scopes(OpensVolume):
    """Quota scopes and their limits."""

    async def test_a_scope_is_made_once(self) -> None:
        async with self.open_volume() as volume:
            first = op()
            await volume.create_scope(first, SCOPE, 10)
            await volume.create_scope(first, SCOPE, 10)
            with pytest.raises(ConflictError) as caught:
                await volume.create_scope(op(), SCOPE, 10)
            assert caught.value.facts["reason"] == "exists"
            assert (await volume.quota(SCOPE)).limit_bytes == 10

    async def test_ensuring_a_scope_tells_who_made_it_however_often_it_is_asked(self) -> None:
        async with self.open_volume() as volume:
            first, second = op(), op()
            assert await volume.ensure_scope(first, SCOPE) == EnsuredScope(made=True, quota=Quota())
            assert (await volume.ensure_scope(first, SCOPE)).made
            await volume.set_quota(op(), SCOPE, 10, 5)
            assert await volume.ensure_scope(second, SCOPE) == EnsuredScope(
                made=False, quota=Quota(limit_bytes=10, soft_bytes=5)
            )

    async def test_an_empty_scope_can_be_deleted_once(self) -> None:
        async with self.open_volume() as volume:
            await volume.create_scope(op(), SCOPE, None)
            deletion = op()
            await volume.delete_scope(deletion, SCOPE)
            await volume.delete_scope(deletion, SCOPE)
            with pytest.raises(NotFoundError) as caught:
                await volume.delete_scope(op(), SCOPE)
            assert caught.value.subject is Subject.QUOTA_SCOPE
            await volume.create_scope(op(), SCOPE, None)

    async def test_a_scope_with_folders_stays(self) -> None:
        async with self.with_folder() as (volume, _):
            with pytest.raises(ConflictError) as caught:
                await volume.delete_scope(op(), SCOPE)
            assert caught.value.facts["reason"] == "not-empty"

    async def test_a_scope_whose_folders_are_gone_can_be_deleted(self) -> None:
        async with self.with_folder() as (volume, _):
            await volume.delete_folder(op(), FOLDER)
            await volume.delete_scope(op(), SCOPE)

    async def test_a_quota_is_set_and_unset(self) -> None:
        async with self.open_volume() as volume:
            await volume.create_scope(op(), SCOPE, None)
            assert (await volume.quota(SCOPE)).limit_bytes is None
            for limit in (5, 0, None):
                await volume.set_quota(op(), SCOPE, limit)
                assert (await volume.quota(SCOPE)).limit_bytes == limit

    async def test_a_quota_needs_its_scope(self) -> None:
        async with self.open_volume() as volume:
            for call in (volume.quota(SCOPE), volume.set_quota(op(), SCOPE, 1)):
                with pytest.raises(NotFoundError) as caught:
                    await call
                assert caught.value.subject is Subject.QUOTA_SCOPE

    async def test_a_folder_needs_its_scope(self) -> None:
        async with self.open_volume() as volume:
            with pytest.raises(NotFoundError) as caught:
                await volume.create_folder(op(), FOLDER, 0o755)
            assert caught.value.subject is Subject.QUOTA_SCOPE

    async def test_a_soft_limit_stands_beside_the_hard_one(self) -> None:
        async with self.with_folder() as (volume, _):
            await volume.set_quota(op(), SCOPE, 10, 5)
            known = await volume.quota(SCOPE)
            assert (known.limit_bytes, known.soft_bytes) == (10, 5)
            await volume.set_quota(op(), SCOPE, None)
            known = await volume.quota(SCOPE)
            assert (known.limit_bytes, known.soft_bytes) == (None, None)

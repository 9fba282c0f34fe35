"""Refusals of every operation are what the documents say: those that are listed, and no others."""

from __future__ import annotations

from functools import partial

import pytest
from harness.openapi_away import (
    WRITING,
    full_queue,
    no_answer,
    no_bus,
    no_bus_behind,
    no_power,
    no_storage,
    outside,
)
from harness.openapi_names import (
    gone_selection,
    in_an_archive,
    in_between,
    in_the_way,
    no_folder,
    nothing_there,
    other_files,
    other_names,
    too_much,
    written_to,
)
from harness.openapi_provoked import Condition, Provoked, kinds_of
from harness.openapi_requests import OPERATIONS, Key
from harness.openapi_told import told_by
from harness.openapi_uploads import (
    begun_again,
    no_place,
    other_digests,
    other_tokens,
    other_uploads,
    part_of_another,
    read_back,
    too_long,
    too_much_in_it,
)
from harness.openapi_wrong import elsewhere, no_permission, too_often, used_key, wrong

from domain import errors
from domain.catalogue import FolderStatus

#: Whatever test comes first brings all conditions about.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

CONDITIONS: dict[str, Condition] = {
    "too-often": too_often,
    "wrong": wrong,
    "storage-fails": partial(no_storage, error=errors.BackendFaultError("it fails")),
    "storage-is-away": partial(no_storage, error=errors.BackendUnavailableError("it is away")),
    "storage-is-busy": partial(no_storage, error=errors.BusyError("it is busy", retry_after_seconds=1)),
    "storage-refuses": partial(no_storage, error=errors.ForbiddenError("it does not permit it")),
    "storage-is-full": partial(no_storage, error=errors.StorageFullError("it is full"), only=WRITING),
    "quota-is-used-up": partial(no_storage, error=errors.QuotaExceededError("nothing more"), only=WRITING),
    "no-bus": no_bus,
    "no-bus-behind": no_bus_behind,
    "full-queue": full_queue,
    "no-power": no_power,
    "outside": outside,
    "elsewhere": elsewhere,
    "other-names": other_names,
    "other-files": other_files,
    "in-between": in_between,
    "no-place": no_place,
    "read-back": read_back,
    "too-long": too_long,
    "too-much-in-it": too_much_in_it,
    "other-digests": other_digests,
    "other-tokens": other_tokens,
    "no-permission": no_permission,
    "no-answer": no_answer,
    "used-key": used_key,
    "nothing-there": nothing_there,
    "no-folder": no_folder,
    "folder-comes": partial(no_folder, status=FolderStatus.CLONING),
    "in-the-way": in_the_way,
    "too-much": too_much,
    "other-uploads": other_uploads,
    "begun-again": begun_again,
    "in-an-archive": in_an_archive,
    "written-to": written_to,
    "gone-selection": gone_selection,
    "part-of-another": part_of_another,
}


@pytest.fixture(scope="module")
async def provoked(tmp_path_factory: pytest.TempPathFactory) -> Provoked:
    path = tmp_path_factory.mktemp("provoked")
    return Provoked(path, await told_by(path), CONDITIONS)


@pytest.mark.parametrize("name", CONDITIONS)
async def test_refusals_are_as_told(provoked: Provoked, name: str) -> None:
    await provoked.meet(name)
    assert not provoked.wrong[name], "\n".join(provoked.wrong[name])


@pytest.mark.parametrize("key", OPERATIONS, ids=" ".join)
async def test_what_is_told_can_be_met(provoked: Provoked, key: Key) -> None:
    await provoked.meet(*CONDITIONS)
    assert provoked.kinds[key] == kinds_of(key)

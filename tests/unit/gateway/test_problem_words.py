"""Error codes are made of words Backend.AI's manager can read: by the first it chooses what it raises."""

from __future__ import annotations

import pytest

from domain import errors
from domain.errors import BusyError, PenstockError, Subject
from gateway.problems import Problem, file_not_found, forbidden, malformed, offset_mismatch, own_problem, problem_of
from gateway.validation import InvalidParametersError

#: `ErrorDomain`, `ErrorOperation` and `ErrorDetail` of `backend.ai-common` 26.3, as far as they can be meant here.
DOMAINS = {"storage", "storage-proxy", "vfolder", "quota-scope"}
OPERATIONS = {
    "generic",
    "create",
    "access",
    "read",
    "update",
    "start",
    "soft-delete",
    "purge",
    "list-query",
    "auth",
    "hook",
    "request",
    "parsing",
    "execute",
    "schedule",
    "setup",
    "grant",
    "check-limit",
}
DETAILS = {
    "bad-request",
    "not-found",
    "gone",
    "conflict",
    "already-exists",
    "invalid-parameters",
    "data-expired",
    "forbidden",
    "unauthorized",
    "not-ready",
    "invalid-data-format",
    "internal-error",
    "unavailable",
    "unreachable",
    "task-timeout",
    "canceled",
    "not-implemented",
    "deprecated",
    "mismatch",
    "timeout",
    "content-type-mismatch",
}


def every_error() -> list[PenstockError]:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PenstockError)]
    found: list[PenstockError] = [InvalidParametersError({})]
    for kind in kinds:
        if issubclass(kind, BusyError):
            found.append(kind("", retry_after_seconds=1))
        else:
            found += [kind("", subject=subject, reason=reason) for subject in Subject for reason in ("", "exists")]
    return found


PROBLEMS: list[Problem] = [
    *map(problem_of, every_error()),
    file_not_found(),
    forbidden(""),
    malformed(""),
    offset_mismatch("", {}),
    own_problem(400, "", "", ""),
]


def test_every_word_is_known() -> None:
    codes = {problem.error_code for problem in PROBLEMS} - {""}
    assert len(codes) > 20
    for code in codes:
        domain, operation, detail = code.split("_")
        assert domain in DOMAINS, code
        assert operation in OPERATIONS, code
        assert detail in DETAILS, code


def test_codes_that_are_not_told_label_the_metrics_all_the_same() -> None:
    assert "error_code" not in forbidden("x").body()
    assert forbidden("x").labels == ("storage-proxy", "auth", "forbidden")


@pytest.mark.parametrize(
    ("error", "status", "domain"),
    [
        (errors.QuotaExceededError(""), 413, "vfolder"),
        (errors.StorageFullError(""), 507, "vfolder"),
        (errors.TooLargeError(""), 413, "vfolder"),
        (errors.ConflictError("", subject=Subject.VFOLDER), 409, "vfolder"),
        (errors.LockedError("", subject=Subject.VFOLDER), 423, "vfolder"),
        (errors.NotFoundError("", subject=Subject.VFOLDER), 404, "vfolder"),
        (errors.GoneError("", subject=Subject.VFOLDER), 410, "vfolder"),
        (errors.NotFoundError("", subject=Subject.QUOTA_SCOPE), 404, "quota-scope"),
        # Without a code, the manager takes it for a problem of a folder as well.
        (errors.NotFoundError("", subject=Subject.FILE), 400, ""),
        (errors.UnsupportedError(""), 400, ""),
    ],
)
def test_what_is_wrong_with_a_folder_is_told_as_that(error: PenstockError, status: int, domain: str) -> None:
    problem = problem_of(error)
    told = str(problem.body().get("error_code", ""))
    assert (problem.status, told.partition("_")[0]) == (status, domain)


# [B12]
def test_the_status_of_tus_has_its_words() -> None:
    """No table of HTTP has any for it."""
    answer = problem_of(errors.ChecksumMismatchError("another one")).response()
    assert (answer.status, answer.reason) == (460, "Checksum Mismatch")

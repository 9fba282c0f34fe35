"""Failures as replies tell them, as errors again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from domain import errors
from domain.envelope import Failure
from domain.errors import ErrorCode, PenstockError, Subject


def _by_code() -> Mapping[ErrorCode, type[PenstockError]]:
    found: dict[ErrorCode, type[PenstockError]] = {}
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, PenstockError) and "code" in vars(value):
            found[value.code] = value
    return found


_CLASSES: Final = _by_code()


def error_of(failure: Failure) -> PenstockError:
    """The error an actor told of, as if it had been raised here."""
    subject = Subject(failure.subject) if failure.subject in list(Subject) else Subject.NONE
    if failure.code is ErrorCode.BUSY:
        return errors.BusyError(failure.detail, retry_after_seconds=1.0)
    return _CLASSES[failure.code](failure.detail, subject=subject)

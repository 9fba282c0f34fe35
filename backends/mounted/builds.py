"""Folders that are being made by copying others. Blocking.

    builds/<build>.json        what is to be made
    builds/<build>.<attempt>/  what was copied so far
    builds/<build>.host        which start of which host has copied it, if no other has

Whoever begins an attempt renames the last one's directory; as everything is written by its whole path, a writer
that was stopped and goes on too late writes nowhere. What is finished goes the way of every new folder: into the
directory of the present epoch's owner, and from there to its place.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import Final, NamedTuple
from uuid import UUID

from backends.contract import Operation
from backends.mounted.area import AREA_NAME, BUILDS, DONE, TRASH, Area
from backends.mounted.beneath import names_in, opened
from backends.mounted.boot import boot_id
from backends.mounted.durable import sync_between
from backends.mounted.errors import missing, translated
from backends.mounted.folders import Folders
from backends.mounted.marker import mark
from backends.mounted.trash import throw_away, throw_taken_away, trash_note
from backends.powers import BuildPlan
from domain.errors import InvalidRequestError, Subject
from domain.ids import VFolderId, VolumeName

_ATTEMPT: Final = re.compile(r"[0-9a-f]{1,32}")
#: Said of a build that several hosts have copied for, or one host in several of its lives.
_SEVERAL: Final = b"several"
#: Name of the attempt that is there from the beginning.
_FIRST: Final = "0"
_MODE: Final = 0o700


class Attempt(NamedTuple):
    """A try at copying what a build asks for."""

    plan: BuildPlan
    #: Where to, as a path from the volume's root.
    place: str
    resumed: bool
    #: Whether all that was copied so far is what was written, though it was never synced.
    trusted: bool


class Builds:
    """What is being made on one mounted volume."""

    def __init__(self, area: Area, folders: Folders) -> None:
        self._area = area
        self._folders = folders

    def begin(self, op: Operation, plan: BuildPlan) -> None:
        """Write down what is to be made."""
        with translated(plan.destination, Subject.VFOLDER):
            self._folders.made_before(op, plan.destination)
            document = {
                "source_volume": plan.source_volume,
                "source": str(plan.source),
                "destination": str(plan.destination),
                "verify": plan.verify,
                "moves": plan.moves,
            }
            if not self._attempts(plan.id):  # begun again, a worker may be at it already
                with self._area.place(BUILDS) as place, suppress(FileExistsError):
                    os.mkdir(f"{plan.id}.{_FIRST}", _MODE, dir_fd=place.fd)
            self._area.write_json(BUILDS, _note(plan.id), document, epoch=op.epoch)

    def all(self) -> list[BuildPlan]:
        """What was begun, and neither finished nor dropped."""
        with translated(BUILDS, Subject.VOLUME), self._area.place(BUILDS) as place:
            names = [name.removesuffix(".json") for name in names_in(place) if name.endswith(".json")]
        return [plan for name in names if (plan := self._plan(UUID(name))) is not None]

    def _plan(self, build: UUID) -> BuildPlan | None:
        note = self._area.read_json(BUILDS, _note(build))
        if note is None:
            return None
        source, destination = VFolderId.parse(note["source"]), VFolderId.parse(note["destination"])
        source_volume, moves = VolumeName(note["source_volume"]), bool(note.get("moves"))
        return BuildPlan(build, source_volume, source, destination, bool(note["verify"]), moves)

    def open_attempt(self, build: UUID, attempt: str) -> Attempt:
        """Take over what the last attempt copied.

        Where there is nothing to take over, it is on its way to its place already.
        """
        if not _ATTEMPT.fullmatch(attempt):
            raise InvalidRequestError("not the name of an attempt", field="attempt")
        name = f"{build}.{attempt}"
        with translated(build, Subject.TASK):
            plan = self._plan(build)
            if plan is None:
                raise missing(str(build), Subject.TASK)
            earlier = self._attempts(build)
            if not earlier:
                raise missing(str(build), Subject.TASK)
            with self._area.place(BUILDS) as place:
                os.rename(earlier[0], name, src_dir_fd=place.fd, dst_dir_fd=place.fd)
            resumed = earlier[0] != f"{build}.{_FIRST}"
            trusted = self._is_by_this_host(build, resumed=resumed)
        return Attempt(plan, f"{AREA_NAME}/{BUILDS}/{name}", resumed=resumed, trusted=trusted)

    def _is_by_this_host(self, build: UUID, *, resumed: bool) -> bool:
        """Whether this host alone, since its last start, has copied anything; takes note that it is about to.

        What another one has copied may have been in its memory only, and lost with that.
        """
        told, here = self._area.read_bytes(BUILDS, _host_note(build)), boot_id()
        if told == here:
            return True
        is_first = not told and not resumed
        self._area.write_bytes(BUILDS, _host_note(build), here if is_first else _SEVERAL)
        return is_first

    def _attempts(self, build: UUID) -> list[str]:
        with self._area.place(BUILDS) as place:
            names = names_in(place)
        return [name for name in names if name.startswith(f"{build}.") and name not in _notes(build)]

    def finish(self, op: Operation, build: UUID, attempt: str, destination: VFolderId) -> None:
        """Put what was copied at its place."""
        with translated(destination, Subject.VFOLDER):
            if not self._folders.made_before(op, destination):
                staged = self._stage(op, build, attempt)
                self._folders.place(op, staged, destination)
            self._forget(build)

    def _stage(self, op: Operation, build: UUID, attempt: str) -> str:
        """Take what was copied where only the present owner reaches it; returns its name there."""
        name = f"{build}.{attempt}"
        staged, mount = f"build.{name}", self._area.mount.fd
        path = self._area.fence.path(op.epoch, staged)
        with self._area.place(BUILDS) as place:
            try:
                with self._area.fence.guarded(op.epoch):
                    os.rename(name, path, src_dir_fd=place.fd, dst_dir_fd=mount)
            except FileNotFoundError:
                # A repetition of this operation may have been here before.
                if not self._is_there(path):
                    raise missing(name, Subject.TASK) from None
            sync_between(self._area.mount, place.fd)
        with opened(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mount)) as fd:
            mark(self._area, fd, op.id)
            sync_between(self._area.mount, fd)
        return staged

    def _is_there(self, path: str) -> bool:
        try:
            os.stat(path, dir_fd=self._area.mount.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def drop(self, op: Operation, build: UUID) -> bool:
        """Give a build up: what was copied goes to the trash. False if there is no such build."""
        with translated(build, Subject.TASK):
            plan = self._plan(build)
            if plan is None and not self._attempts(build):
                traces = ((TRASH, trash_note(op.id)), (DONE, str(op.id)))
                return throw_away(self._area, op) or any(self._area.exists(*trace) for trace in traces)
            folder = plan.destination if plan is not None else VFolderId(None, build)
            taken = self._area.fence.path(op.epoch, f"trash.{op.id}")
            attempts = self._attempts(build)
            for number, name in enumerate(attempts):
                note = {"folder": str(folder), "paths": []}
                self._area.write_json(TRASH, trash_note(op.id), note, epoch=op.epoch)
                target = f"{taken}/.{number}" if number else taken
                with self._area.place(BUILDS) as place, self._area.fence.guarded(op.epoch):
                    os.rename(name, target, src_dir_fd=place.fd, dst_dir_fd=self._area.mount.fd)
            if attempts:
                throw_taken_away(self._area, op)
            elif not throw_away(self._area, op):
                # Nothing is there, but perhaps on its way to its place: only this tells that it was given up here.
                self._area.write_json(DONE, str(op.id), {"dropped": str(build)})
            self._forget(build)
        return True

    def _forget(self, build: UUID) -> None:
        for name in _notes(build):
            self._area.remove(BUILDS, name)


def _notes(build: UUID) -> tuple[str, str]:
    """Names of what is written down of a build; what makes it one goes last."""
    return _host_note(build), _note(build)


def _note(build: UUID) -> str:
    return f"{build}.json"


def _host_note(build: UUID) -> str:
    return f"{build}.host"

"""Who uploads in a fault run: by every dialect, in pieces, again and again until it is sure how it ended."""

from __future__ import annotations

import base64
import hashlib
import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from harness.archives import tar_of
from harness.fields import BODY, TUS, metadata
from harness.interim import Interims
from harness.processes import FOLDER, PATIENCE, Answer, Api

#: Longest wait for one answer, in seconds: whoever is to give it may be frozen.
_ANSWER_SECONDS = 5.0 * PATIENCE
#: Longest time without any progress, in seconds.
_PATIENCE_SECONDS = 60.0 * PATIENCE
_LONGEST = 3 << 20
#: Answers after which one looks how far it is and goes on: another writer is there or was, too many, not now.
_AGAIN = frozenset({409, 423, 429, 502, 503, 504})


class WrongError(Exception):
    """Something was answered that must not be."""


class RefusedError(WrongError):
    """There is no room."""


@dataclass
class Upload:
    """One file that was meant to be, or the files of an archive."""

    #: Of the file, or of the directory the archive was to be unpacked in; in the events as well.
    name: str
    data: bytes
    #: Whether it was said to be there; None: whoever asked for it does not know.
    is_there: bool | None = None
    #: Files that were to become of it; None: it is one.
    members: Mapping[str, bytes] | None = None

    @property
    def files(self) -> dict[str, bytes]:
        """What is to be there of it, by its place."""
        if self.members is None:
            return {self.name: self.data}
        return {f"{self.name}/{name}": data for name, data in self.members.items()}


@dataclass
class Uploads:
    """All that was tried in a run."""

    all: list[Upload] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    #: Why a request was repeated, and how often: what was answered, or why there was no answer.
    repeated: Counter[str] = field(default_factory=Counter)


class Uploader:
    """Uploads one file after the other.

    Args:
        api: where the manager is, and the clients' port by a way that is cut now and then.
    """

    def __init__(self, number: int, api: Api, uploads: Uploads, chance: random.Random) -> None:
        self._number = number
        self._api = api
        self._uploads = uploads
        self._chance = chance
        self._names = (f"{number}/{name}" for name in range(1_000_000))
        self._token = ""

    def run(self, stop: threading.Event) -> None:
        """Upload until it is over; what was begun is brought to its end."""
        try:
            self._token = str(self._manager("upload-below", relpath=".", owner=f"o{self._number}")["token"])
            while not stop.is_set():
                self._live()
        except Exception as error:  # noqa: BLE001  told with all that went wrong
            self._uploads.wrong.append(f"uploader {self._number}: {type(error).__name__}: {error}")

    def _live(self) -> None:
        """One upload, in one way of many."""
        kinds = (
            *(self._by_token, self._by_pieces, self._by_pieces, self._whole, self._in_parts, self._dropped),
            *(self._resumable, self._resumable, self._small, self._small),
            *(self._deferred, self._unpacked),
        )
        self._chance.choice(kinds)()

    # --- ways to upload ---------------------------------------------------------------------------

    def _by_token(self) -> None:
        """As Backend.AI's clients do. A repeated request for a token begins another upload."""
        upload = self._new(self._chance.randrange(1, _LONGEST))
        token = self._manager("upload", relpath=upload.name, size=len(upload.data))["token"]
        self._send(f"/upload?token={token}", upload.data, checked=False)
        upload.is_there = True

    def _by_pieces(self) -> None:
        """As tus clients do."""
        upload = self._new(self._chance.randrange(0, _LONGEST))
        url = self._create(upload, {"Upload-Length": str(len(upload.data))})
        if url is not None:
            self._send(url, upload.data, checked=True)
            upload.is_there = True

    def _whole(self) -> None:
        """A file in the request that creates it."""
        upload = self._new(self._chance.choice((0, 1, 4096, 60_000, 900_000)))
        fields = {**BODY, "Upload-Length": str(len(upload.data)), **_named(upload)}
        answer = self._ask("POST", "/files", fields, upload.data)
        if answer is not None and answer.status == 201:
            url = "/" + answer.headers["location"]
            self._send(url, upload.data, checked=True, acked=int(answer.headers["upload-offset"]))
            upload.is_there = True

    def _small(self) -> None:
        """A small file, begun and then sent in one request, as most clients do; some ask first how far it is."""
        upload = self._new(self._chance.choice((1, 4096, 60_000)))
        url: str | None
        if by_token := self._chance.random() < 0.5:
            url = f"/upload?token={self._manager('upload', relpath=upload.name, size=len(upload.data))['token']}"
        else:
            url = self._create(upload, {"Upload-Length": str(len(upload.data))})
        if url is None:
            return
        acked = 0
        if self._chance.random() < 0.7 and self._patch(url, 0, upload.data, checked=not by_token) is not None:
            acked = len(upload.data)
        self._send(url, upload.data, checked=not by_token, acked=acked)
        upload.is_there = True

    def _in_parts(self) -> None:
        """Parts that are put together."""
        upload = self._new(self._chance.randrange(2, _LONGEST))
        middle = self._chance.randrange(1, len(upload.data))
        urls = []
        for part in (upload.data[:middle], upload.data[middle:]):
            url = self._create(None, {"Upload-Length": str(len(part)), "Upload-Concat": "partial"})
            if url is None:
                upload.is_there = False
                return
            self._send(url, part, checked=True)
            urls.append(url)
        if self._create(upload, {"Upload-Concat": f"final;{' '.join(urls)}"}) is not None:
            upload.is_there = True

    def _deferred(self) -> None:
        """Of a length that is told with its last bytes."""
        upload = self._new(self._chance.randrange(1, _LONGEST))
        url = self._create(upload, {"Upload-Defer-Length": "1"})
        if url is None:
            return
        most = self._chance.randrange(len(upload.data))
        self._send(url, upload.data, checked=True, until=most)
        self._send(url, upload.data, checked=True, acked=most, length=len(upload.data))
        upload.is_there = True

    def _unpacked(self) -> None:
        """An archive, of which its files are wanted."""
        sizes = [self._chance.choice((0, 1, 4096, 300_000)) for _ in range(self._chance.randrange(1, 20))]
        members = {f"{number % 3}/{number}": self._chance.randbytes(size) for number, size in enumerate(sizes)}
        upload = Upload(next(self._names), tar_of(members), members=members)
        self._uploads.all.append(upload)
        named = {"Upload-Metadata": metadata(filename=f"{upload.name}/all.tar", extract="1")}
        url = self._create(None, {"Upload-Length": str(len(upload.data)), **named})
        if url is not None:
            self._send(url, upload.data, checked=True)
            upload.is_there = True

    def _dropped(self) -> None:
        """An upload that is given up half-way."""
        upload = self._new(self._chance.randrange(2, _LONGEST))
        url = self._create(upload, {"Upload-Length": str(len(upload.data))})
        if url is None:
            return
        self._send(url, upload.data, checked=True, until=len(upload.data) // 2)
        self._drop(url)
        upload.is_there = False

    def _resumable(self) -> None:
        """As clients of the IETF's resumable uploads do: complete when they say so."""
        upload = self._new(self._chance.randrange(0, _LONGEST))
        end = len(upload.data)
        first = self._chance.choice((0, 0, end // 2, end))
        is_last = first == end and self._chance.random() < 0.5
        fields = {"Upload-Complete": _boolean(is_last), "Content-Disposition": f'inline; filename="{upload.name}"'}
        if self._chance.random() < 0.5:
            fields["Upload-Length"] = str(end)
        if self._chance.random() < 0.5:
            fields["Upload-Draft-Interop-Version"] = "9"
        interims: list[str] = []
        answer = self._ask("POST", "/uploads", fields, upload.data[:first], interims)
        if answer is not None and answer.status not in (200, 201):
            raise WrongError(f"POST /uploads: {answer.status} {answer.body[:200]!r}")
        if answer is None and not interims:
            return
        url = "/" + (answer.headers["location"] if answer is not None else interims[0])
        self._append(url, upload.data, acked=first if answer is not None else 0)
        upload.is_there = True

    # --- steps ------------------------------------------------------------------------------------

    def _new(self, length: int) -> Upload:
        upload = Upload(next(self._names), self._chance.randbytes(length))
        self._uploads.all.append(upload)
        return upload

    def _create(self, upload: Upload | None, fields: Mapping[str, str]) -> str | None:
        """Begin an upload; None: it is not known whether one was begun, and which."""
        named = {} if upload is None else _named(upload)
        answer = self._ask("POST", "/files", {**TUS, **fields, **named})
        return "/" + answer.headers["location"] if answer is not None and answer.status == 201 else None

    def _send(
        self,
        url: str,
        data: bytes,
        *,
        checked: bool,
        acked: int = 0,
        until: int | None = None,
        length: int | None = None,
    ) -> None:
        """Send what is missing up to a length, until all of it is said to be there.

        Args:
            length: of the whole, to be told with each request.
        """
        told = {} if length is None else {"Upload-Length": str(length)}
        end = len(data) if until is None else until
        for head in self._answers("HEAD", url, TUS):
            if head.status == 413:
                raise RefusedError("HEAD: 413: all of it is there, and does not fit")
            if head.status != 200:
                raise WrongError(f"HEAD of an upload: {head.status}")
            offset = int(head.headers["upload-offset"])
            if offset < acked:
                raise WrongError(f"{acked} bytes were acknowledged, {offset} are there")
            while offset < end:
                piece = data[offset : min(offset + self._chance.choice((1, 1000, 70_000, 1 << 20, 4 << 20)), end)]
                answer = self._patch(url, offset, piece, checked=checked, told=told)
                if answer is None:
                    break
                offset = acked = offset + len(piece)
                if int(answer.headers["upload-offset"]) != offset:
                    raise WrongError(f"{offset} bytes were sent, {answer.headers['upload-offset']} acknowledged")
            else:
                return

    def _patch(
        self, url: str, offset: int, piece: bytes, *, checked: bool, told: Mapping[str, str] | None = None
    ) -> Answer | None:
        fields = {**BODY, **(told or {}), "Upload-Offset": str(offset)}
        damaged = checked and self._chance.random() < 0.1
        if damaged or (checked and self._chance.random() < 0.5):
            digest = hashlib.sha256(piece + b"!" if damaged else piece).digest()
            fields["Upload-Checksum"] = f"sha256 {base64.b64encode(digest).decode()}"
        answer = self._ask("PATCH", url, fields, piece)
        if answer is None or (damaged and answer.status == 460):
            return None
        if answer.status == 413:
            raise RefusedError(f"PATCH: 413 {answer.body[:200]!r}")
        if answer.status != 204 or damaged:
            raise WrongError(f"PATCH: {answer.status} {answer.body[:200]!r}")
        return answer

    def _drop(self, url: str) -> None:
        """Give an upload up, until it is said to be gone."""
        for answer in self._answers("DELETE", url, TUS):
            if answer.status in (204, 404, 410):
                return
            raise WrongError(f"DELETE: {answer.status} {answer.body[:200]!r}")

    def _append(self, url: str, data: bytes, acked: int) -> None:
        """Send what is missing, until the upload is said to be complete."""
        for head in self._answers("HEAD", url, {}):
            if head.status != 204:
                raise WrongError(f"HEAD of an upload: {head.status}")
            offset = int(head.headers["upload-offset"])
            if offset < acked:
                raise WrongError(f"{acked} bytes were acknowledged, {offset} are there")
            acked = offset
            if head.headers["upload-complete"] == "?1":
                return
            while (answer := self._appended(url, offset, data)) is not None:
                offset = acked = int(answer.headers["upload-offset"])
                if answer.headers["upload-complete"] == "?1":
                    return

    def _appended(self, url: str, offset: int, data: bytes) -> Answer | None:
        """The answer to some more bytes; the end is told with the last of them, or later."""
        piece = data[offset : offset + self._chance.choice((1, 1000, 70_000, 1 << 20, 4 << 20))]
        reached = offset + len(piece)
        is_last = reached == len(data) and (not piece or self._chance.random() < 0.5)
        place = {"Upload-Offset": str(offset), "Upload-Complete": _boolean(is_last)}
        fields = {"Content-Type": "application/partial-upload", **place}
        damaged = self._chance.random() < 0.1
        if damaged or self._chance.random() < 0.5:
            digest = hashlib.sha256(piece + b"!" if damaged else piece).digest()
            fields["Content-Digest"] = f"sha-256=:{base64.b64encode(digest).decode()}:"
        # Who has not heard of the end asks for it once more, and so may who has.
        for _ in range(self._chance.choice((1, 2, 3)) if is_last else 1):
            answer = self._ask("PATCH", url, fields, piece)
            if answer is None:
                continue
            if damaged and answer.status == 400 and b"digest-mismatching-values" in answer.body:
                return None
            told = (answer.status, answer.headers.get("upload-offset"), answer.headers.get("upload-complete"))
            if damaged or told != (200 if is_last else 204, str(reached), _boolean(is_last)):
                raise WrongError(f"PATCH from {offset} to {reached}: {told} {answer.body[:200]!r}")
        return answer

    # --- requests ---------------------------------------------------------------------------------

    def _manager(self, route: str, **fields: object) -> dict[str, object]:
        return dict(self._managed(route, (200,), **fields).json)

    def _managed(self, route: str, done: Collection[int], **fields: object) -> Answer:
        """Ask as the manager does, until that is answered by one of these."""
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < give_up:
            try:
                body = {"volume": self._api.volume, "vfid": FOLDER, **fields}
                answer = self._api.manager("POST", f"/folder/file/{route}", body)
            except (OSError, http.client.HTTPException):
                answer = None
            if answer is not None and answer.status in done:
                return answer
            if answer is not None and answer.status == 413:
                raise RefusedError(f"{route}: 413 {answer.body[:200]!r}")
            if answer is not None and answer.status not in _AGAIN:
                raise WrongError(f"{route}: {answer.status} {answer.body[:200]!r}")
            time.sleep(0.05)
        raise WrongError(f"{route}: no answer within {_PATIENCE_SECONDS:g} s")

    def _answers(self, method: str, url: str, fields: Mapping[str, str]) -> Iterator[Answer]:
        """Ask until there is an answer, and once more whenever it is asked for."""
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < give_up:
            answer = self._ask(method, url, fields)
            if answer is not None:
                yield answer
                give_up = time.monotonic() + _PATIENCE_SECONDS
            time.sleep(0.02)
        raise WrongError(f"{method}: no answer within {_PATIENCE_SECONDS:g} s")

    def _ask(
        self,
        method: str,
        url: str,
        fields: Mapping[str, str],
        body: bytes = b"",
        interims: list[str] | None = None,
    ) -> Answer | None:
        """One request; None: there is no answer, or that it cannot be done now.

        Args:
            interims: gets the places told before the answer.
        """
        bearer = {} if "token=" in url else {"Authorization": f"Bearer {self._token}"}
        connection = Interims("127.0.0.1", self._api.client_port, timeout=_ANSWER_SECONDS)
        try:
            connection.request(method, url, body or None, {**bearer, **fields})
            found = connection.getresponse()
            headers = {name.lower(): value for name, value in found.getheaders()}
            answer = Answer(found.status, headers, found.read())
        except (OSError, http.client.HTTPException) as error:
            self._uploads.repeated[type(error).__name__] += 1
            return None
        finally:
            connection.close()
            if interims is not None:
                interims += [str(fields["location"]) for fields in connection.interims]
        if answer.status in _AGAIN:
            self._uploads.repeated[str(answer.status)] += 1
            return None
        return answer


def _boolean(value: bool) -> str:
    """As a structured field."""
    return "?1" if value else "?0"


def _named(upload: Upload) -> dict[str, str]:
    return {"Upload-Metadata": metadata(filename=upload.name)}

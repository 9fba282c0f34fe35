"""Who uploads to a folder with too little room in a fault run: refused now and then, and making room again."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.fault.uploaders import RefusedError, Upload, Uploader
from harness.folders import sizes_below


class LimitedUploader(Uploader):
    """Uploads one file after the other, and removes some of them again."""

    refused = 0
    #: How many of its files it removes again, of one.
    removed = 0.4

    def _live(self) -> None:
        before = len(self._uploads.all)
        kinds = (self._by_pieces, self._by_pieces, self._deferred, self._small, self._in_parts, self._unpacked)
        self._urls: list[str] = []
        try:
            self._chance.choice(kinds)()
        except RefusedError:
            self.refused += 1
            for url in self._urls:
                self._drop(url)
        for upload in self._uploads.all[before:]:
            if upload.is_there and self._chance.random() < self.removed:
                self._remove(upload)

    def _create(self, upload: Upload | None, fields: Mapping[str, str]) -> str | None:
        url = super()._create(upload, fields)
        self._urls += [url] if url is not None else []
        return url

    def _remove(self, upload: Upload) -> None:
        self._managed("delete", (200, 204, 404), relpaths=[upload.name], recursive=True)
        upload.is_there = False


@dataclass
class Watch:
    """Looks again and again at how many bytes the files of a folder have."""

    folder: Path
    most: int = 0
    looks: int = 0

    def run(self, stop: threading.Event) -> None:
        """Look until it is over; what changes meanwhile is not looked at."""
        before = sizes_below(self.folder)
        while not stop.is_set():
            now = sizes_below(self.folder)
            if now == before:
                self.looks += 1
                self.most = max(self.most, sum(now.values()))
            before = now
            time.sleep(0.005)

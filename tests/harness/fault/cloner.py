"""Who clones a folder in a fault run, again and again until it is sure how that ended.

The copies are removed, and had back from the trash, if they fit then.
"""

from __future__ import annotations

import http.client
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping

from harness.fault.uploaders import Uploads, WrongError
from harness.processes import PATIENCE, Answer, Api

#: Longest time without an answer that counts, in seconds.
_PATIENCE_SECONDS = 60.0 * PATIENCE
#: Answers after which it is asked once more, with the same key: not now, or it goes on.
_AGAIN = frozenset({503, 504})
#: The same of a restore: it is being deleted still.
_NOT_YET = _AGAIN | {404}
#: How often a task is looked up that nobody knows.
_UNKNOWN = 100


class Cloner:
    """Clones one folder of a scope into new ones of it, and has some of that end before it is done.

    Args:
        source: the folder, `<scope>/<id>`.
        uploads: gets what went wrong.
    """

    def __init__(self, number: int, api: Api, source: str, uploads: Uploads, chance: random.Random) -> None:
        self._api = api
        self._scope, _, self._source = source.partition("/")
        self._uploads = uploads
        self._chance = chance
        self._keys = (f"cloner-{number}-{key}" for key in itertools.count())
        self._targets = (f"bb{number:02}{key:04}-0000-4000-8000-000000000003" for key in itertools.count())
        self.made = self.restored = 0
        #: How tasks ended that were asked to.
        self.ended = Counter[str]()

    def run(self, stop: threading.Event) -> None:
        """Clone until it is over; what was begun is brought to its end."""
        try:
            while not stop.is_set():
                self._chance.choice((self._clone, self._clone, self._cancel))(next(self._targets))
        except Exception as error:  # noqa: BLE001  told with all that went wrong
            self._uploads.wrong.append(f"cloner: {type(error).__name__}: {error}")

    def _clone(self, target: str) -> None:
        kind, _, owner = self._scope.partition(":")
        route = f"/volumes/{self._api.volume}/quota-scope/{kind}/{owner}/vfolder/{self._source}/clone"
        folder = f"{self._scope}/{target}"
        answer = self._ask("PUT", route, {"dst_vfid": folder}, (204, 409, 413))
        if answer.status != 204:
            return
        self.made += 1
        place = {"volume": self._api.volume, "vfid": folder}
        time.sleep(self._chance.uniform(0, 1))
        self._ask("POST", "/folder/delete", place, (202,))
        time.sleep(self._chance.uniform(0, 0.5))
        if self._ask("POST", "/folder/restore", place, (204, 413), _NOT_YET).status == 204:
            self.restored += 1
            self._ask("POST", "/folder/delete", place, (202,))

    def _cancel(self, target: str) -> None:
        """Clone, and have that end at any moment; what is done is removed, and else there is nothing."""
        folder = f"{self._scope}/{target}"
        names = {"src_volume": self._api.volume, "src_vfid": f"{self._scope}/{self._source}"}
        begun = self._ask("POST", "/folder/clone", {**names, "dst_volume": None, "dst_vfid": folder}, (200,))
        task = str(begun.json["bgtask_id"])
        time.sleep(self._chance.uniform(0, 0.5))
        self._ask("DELETE", f"/tasks/{task}", {}, (202, 404, 409))
        state = self._end(task)
        self.ended[state] += 1
        place = {"volume": self._api.volume, "vfid": folder}
        there = self._ask("GET", "/folder/status", place, (200, 404))
        if (there.status == 200) is not (state == "done"):
            raise WrongError(f"{task} is {state}, and its folder: {there.body[:200]!r}")
        if state == "done":
            self._ask("POST", "/folder/delete", place, (202,))

    def _end(self, task: str) -> str:
        """How a task ended; one nobody knows for some time was refused."""
        unknown, give_up = 0, time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < give_up:
            answer = self._ask("GET", f"/tasks/{task}", {}, (200, 404))
            unknown = unknown + 1 if answer.status == 404 else 0
            if unknown > _UNKNOWN:
                return "refused"
            if answer.status == 200 and answer.json["state"] != "running":
                return str(answer.json["state"])
            time.sleep(0.1)
        raise WrongError(f"{task} never ends: {answer.body[:300]!r}")

    def _ask(
        self,
        method: str,
        route: str,
        body: Mapping[str, str | None],
        done: Collection[int],
        again: Collection[int] = _AGAIN,
    ) -> Answer:
        """Ask until that is answered by one of these."""
        key, give_up = next(self._keys), time.monotonic() + _PATIENCE_SECONDS
        last = b"none"
        while time.monotonic() < give_up:
            try:
                answer = self._api.manager(method, route, body, key)
            except (OSError, http.client.HTTPException) as error:
                self._uploads.repeated[type(error).__name__] += 1
            else:
                if answer.status in done:
                    return answer
                if answer.status not in again:
                    raise WrongError(f"{method} {route}: {answer.status} {answer.body[:200]!r}")
                self._uploads.repeated[str(answer.status)] += 1
                last = answer.body
            time.sleep(0.05)
        raise WrongError(f"{method} {route}: no end within {_PATIENCE_SECONDS:g} s: {last[:300]!r}")

"""Whatever the ports are sent, by their own documents and against them, they answer as these say."""

from __future__ import annotations

import base64
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from random import Random
from typing import Any, ClassVar
from uuid import UUID

import pytest
import schemathesis
from harness.fields import TUS
from harness.folders import worker_of
from harness.openapi_requests import SOUND
from harness.processes import FOLDER, SCOPE, SECRET, Site, ask, is_ready, open_site, stopped, until
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode, Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.openapi.operations import CLIENT, MANAGER, Operation, Table

pytestmark = pytest.mark.timeout(300)

EXAMPLES = 10
#: Another one is another choice of requests.
SEED = int(os.environ.get("SEED", "0"))
#: How often an operation is asked anew that chance has never asked rightly.
TRIES = 6
for media in ("application/offset+octet-stream", "application/partial-upload"):
    schemathesis.serializer.alias(media, "application/octet-stream")

HELLO = b"hello"
IN_FOLDER = {"volume": "disk", "vfid": FOLDER}
#: A quota scope without a folder.
EMPTY = "22222222-2222-4222-8222-222222222222"
#: Where tokens are made, and of what.
TOKENS = {
    "download": ("download", {**IN_FOLDER, "relpath": "a.txt"}),
    "archive": (
        "archive-download-token",
        {"volume": "disk", "virtual_folder_id": FOLDER, "files": ["a.txt"]},
    ),
    "upload-below": ("upload-below", {**IN_FOLDER, "owner": "somebody"}),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    path = tmp_path_factory.mktemp("openapi")
    chosen = {"gateway__resumable_uploads": True, "actors__trash_seconds": 3600.0}
    with open_site(path, gateway__command_seconds=10.0, **chosen) as found:
        found.start("actor")
        found.start("worker")
        found.start("gateway")
        found.api.make_folder()
        found.api.upload("a.txt", HELLO)
        yield found


class Chance:
    """Sends each operation of a port what its document allows, and what it does not, and counts what comes.

    Chance alone hardly gets past the first checks; `improve` puts in what is known, more or less of it.
    """

    port: int
    headers: Mapping[str, str] = {}
    table: ClassVar[Table]

    def __init__(self, site: Site) -> None:
        self.site = site
        self.answers: dict[str, Counter[int]] = defaultdict(Counter)

    def improve(self, case: Case, operation: Operation, chance: Random) -> None:
        """Make of what chance has made what may well be answered as it should be."""
        raise NotImplementedError

    @contextmanager
    def around(self, operation: Any) -> Iterator[None]:
        """See that what an operation needs is there."""
        yield

    def run(self) -> None:
        document = ask(self.port, "GET", "/openapi.json").json
        operations = [found.ok() for found in schemathesis.openapi.from_dict(document).get_all_operations()]
        for operation in operations:
            if not operation.path.endswith("/events"):  # answers without an end
                with self.around(operation):
                    self._send(operation, GenerationMode.POSITIVE, SEED)
                    with suppress(Unsatisfiable):  # some take nothing that could be wrong
                        self._send(operation, GenerationMode.NEGATIVE, SEED)
        for number in range(1, TRIES):
            for operation in operations:
                if operation.label in self.unanswered:
                    with self.around(operation):
                        self._send(operation, GenerationMode.POSITIVE, SEED + number)

    def _send(self, operation: Any, mode: GenerationMode, choice: int) -> None:
        known = self.table[operation.method.upper(), operation.path]

        @seed(choice)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(case=operation.as_strategy(mode), chance=st.randoms(use_true_random=False))
        def send(case: Case, chance: Random) -> None:
            self.improve(case, known, chance)
            answer = case.call(base_url=f"http://127.0.0.1:{self.port}", headers=dict(self.headers), timeout=30)
            self.answers[operation.label][answer.status_code] += 1
            told = f"{case.method} {case.path}: {answer.status_code} {answer.content[:300]!r}"
            assert b"Traceback" not in answer.content, told
            # 503 and 504 are answers as well, but to somebody who asks for what is away.
            assert answer.status_code < 500 or not is_ready(self.site.running[-1].internal_port), told
            if mode is GenerationMode.NEGATIVE and _is_of_http(answer):
                return
            more = [content_type_conformance, response_schema_conformance] if answer.content else []
            case.validate_response(answer, checks=[status_code_conformance, response_headers_conformance, *more])

        send()

    @property
    def unanswered(self) -> set[str]:
        """Operations that were asked, can be answered as they should be, and never were."""
        able = {
            f"{method} {path}"
            for (method, path), operation in self.table.items()
            if any(reply.status < 300 for reply in operation.replies)
        }
        return {label for label, found in self.answers.items() if label in able and min(found) >= 300}

    @property
    def share(self) -> float:
        """Which part of all requests was answered as it should be."""
        total = sum(self.answers.values(), Counter[int]())
        return sum(count for status, count in total.items() if status < 300) / total.total()


def _is_of_http(answer: Response) -> bool:
    """Whether a request is refused before anybody knows what it is for: as no HTTP, or for its path or method."""
    (media,) = answer.headers.get("content-type", [""])
    if answer.status_code == 400:
        # What no request could be made of has no id; that to a HEAD shows no body to look at.
        return media.startswith("application/problem+json") and "x-request-id" not in answer.headers
    return answer.status_code in (404, 405, 417) and media.startswith("text/plain")


class ManagerChance(Chance):
    """The manager's port."""

    headers: Mapping[str, str] = {"X-BackendAI-Storage-Auth-Token": SECRET}
    table = MANAGER

    @property
    def port(self) -> int:
        return self.site.api.manager_port

    @contextmanager
    def around(self, operation: Any) -> Iterator[None]:
        api = self.site.api
        api.manager("POST", "/folder/create", IN_FOLDER)
        api.upload("a.txt", HELLO)
        api.manager("POST", "/quota-scope", {"volume": "disk", "qsid": f"user:{EMPTY}"})
        # What is to be cancelled must not be over by itself before.
        is_cancelled = operation.label == "DELETE /tasks/{task}"
        with stopped(worker_of(self.site).process.pid) if is_cancelled else nullcontext():
            self._task = api.manager("POST", "/tasks", {"volume": "disk", "kind": "usage.scan"}).json["task_id"]
            if operation.path in ("/folder/restore", "/folder/purge"):
                api.manager("POST", "/folder/delete", IN_FOLDER)
                until(lambda: api.manager("GET", "/folder/usage", IN_FOLDER).status == 404, "the folder is gone")
            yield

    def improve(self, case: Case, operation: Operation, chance: Random) -> None:
        way = chance.random()
        if way < 0.25:
            return
        for name in case.path_parameters or ():
            case.path_parameters[name] = self._known(name, case.path_parameters[name], chance)
        kept = {"relpath"} if operation.body and way > 0.6 else set()
        if kept:
            case.body = dict(operation.example)
        if operation.query and way > 0.6:
            case.query = dict(operation.example)
        if isinstance(case.body, dict):
            case.body = {
                name: value if name in kept else self._known(name, value, chance)
                for name, value in case.body.items()
            }

    def _known(self, name: str, value: Any, chance: Random) -> Any:
        """A value of which something is there, mostly."""
        new = UUID(int=chance.getrandbits(128), version=4)
        known = {
            "volume": ["disk"],
            "src_volume": ["disk"],
            "dst_volume": [None, "disk"],
            "vfid": [FOLDER, FOLDER, f"{SCOPE}/{new.hex}"],
            "src_vfid": [FOLDER],
            "dst_vfid": [f"{SCOPE}/{new.hex}"],
            "virtual_folder_id": [FOLDER],
            "qsid": [SCOPE, f"user:{new}"],
            "relpath": ["a.txt"],
            "type": ["user"],
            "uuid": [*[SCOPE.partition(":")[2]] * 3, EMPTY, str(new)],
            "folder": [*[UUID(FOLDER.rpartition("/")[2]).hex] * 2, new.hex],
            "task": [self._task],
        }
        return chance.choice(known[name]) if name in known and not isinstance(value, list) else value


class ClientChance(Chance):
    """The clients' port, with tokens of all kinds: mostly of the right one, at times of another or none."""

    table = CLIENT
    KINDS: ClassVar = {"/download": ["download"], "/download-archive": ["archive"], "/upload": ["upload"]}

    @property
    def port(self) -> int:
        return self.site.api.client_port

    def improve(self, case: Case, operation: Operation, chance: Random) -> None:
        way = chance.random()
        if not operation.security or way < 0.15:
            return
        kinds = self.KINDS.get(case.operation.path, ["upload", "upload-below"])
        if way < 0.25:
            kinds = ["download", "archive", "upload", "upload-below"]
        token, session = self._token(chance.choice(kinds))
        if case.operation.label == "GET /files/{session}" and way > 0.5:
            self.site.api.patch(token, 0, HELLO)  # only what is finished can be read
        if case.path_parameters:
            case.path_parameters["session"] = session
        if way > 0.5:
            self._make_sound(case, operation)
        if "bearer" in operation.security and chance.random() < 0.5:
            case.headers["Authorization"] = f"Bearer {token}"
        else:
            case.query["token"] = token

    def _make_sound(self, case: Case, operation: Operation) -> None:
        case.query.clear()
        for name in {one.name for one in operation.fields}:
            case.headers.pop(name, None)
            if name in SOUND:
                case.headers[name] = SOUND[name]
        if operation.bytes:
            case.body, case.media_type = HELLO, operation.bytes[0]

    def _token(self, kind: str) -> tuple[str, str]:
        """A token, and the upload that can be made with it, of which no byte is there."""
        api = self.site.api
        if kind == "upload":
            token = api.upload_token("up", len(HELLO))
            claims = base64.urlsafe_b64decode(token.split(".")[1] + "==")
            return token, json.loads(claims)["session"]
        route, body = TOKENS[kind]
        token = api.manager("POST", f"/folder/file/{route}", body).json["token"]
        if kind != "upload-below":
            return token, "0" * 32
        fields = {**TUS, "Upload-Length": "5", "Upload-Metadata": SOUND["Upload-Metadata"]}
        begun = ask(api.client_port, "POST", "/files", headers={**fields, "Authorization": f"Bearer {token}"})
        return token, begun.headers["location"].rpartition("/")[2]


def test_whatever_the_manager_sends_is_answered(site: Site) -> None:
    chance = ManagerChance(site)
    chance.run()
    assert set(chance.answers) == {f"{method} {path}" for method, path in MANAGER if not path.endswith("/events")}
    assert sum(chance.answers.values(), Counter[int]()).total() > 1000
    assert chance.unanswered == {"GET /volume/performance-metric"}, "the volume measures nothing of itself"
    assert chance.share > 0.2
    assert "failed by a defect" not in site.log("gateway")
    assert site.api.manager("GET", "/volumes").status == 200


def test_whatever_clients_send_is_answered(site: Site) -> None:
    site.api.manager("POST", "/folder/create", IN_FOLDER)
    site.api.upload("a.txt", HELLO)
    chance = ClientChance(site)
    chance.run()
    assert set(chance.answers) == {f"{method} {path}" for method, path in CLIENT}
    assert chance.unanswered == set()
    assert chance.share > 0.4
    assert "failed by a defect" not in site.log("gateway")
    assert ask(site.api.client_port, "GET", "/").status == 200

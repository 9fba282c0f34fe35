"""Where the settings name web origins, pages of others may not use the URL of a token, whoever takes a request."""

from __future__ import annotations

import pytest
from harness.begun import Begun, begin, send
from harness.world import Answer, World

from gateway.cors import ALLOWED, EXPOSED
from gateway.express.uploads import ExpressUploads

GOOD, EVIL = "https://good.example", "https://evil.example"
#: A field that nobody heeds, but makes a request no simple one.
ORDINARY = {"X-Unheard-Of": "1"}

pytestmark = [pytest.mark.anyio, pytest.mark.folder, pytest.mark.gateway(allow_origins=[GOOD])]


def told(answer: Answer) -> dict[str, str]:
    """What an answer says to browsers."""
    return {name: value for name, value in answer.headers.items() if name.startswith(("Access-Control", "Vary"))}


async def ask(world: World, method: str, target: str, origin: str) -> Answer:
    asked = {"Access-Control-Request-Method": "PATCH"} if method == "OPTIONS" else {}
    return await world.client(method, target, headers={"Origin": origin, **asked})


# [C1]
async def test_a_page_may_ask_first(world: World) -> None:
    answer = await ask(world, "OPTIONS", "/upload", GOOD)
    assert answer.status == 200
    assert told(answer) == told(await ask(world, "OPTIONS", "/files", GOOD))
    assert answer.headers["Access-Control-Allow-Origin"] == GOOD
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == ", ".join(ALLOWED)
    assert "Access-Control-Allow-Origin" not in told(await ask(world, "OPTIONS", "/upload", EVIL))
    assert told(await world.client("OPTIONS", "/upload")) == {"Vary": "Origin"}


# [C2]
async def test_a_page_reads_every_answer_or_none(world: World) -> None:
    begun = await begin(world, "token")
    for answer, status in (
        (await ask(world, "HEAD", begun.target, GOOD), 200),
        (await ask(world, "PATCH", begun.target, GOOD), 400),
        (await ask(world, "PATCH", "/upload?token=x", GOOD), 401),
        (await ask(world, "GET", begun.target, GOOD), 405),
        (await send(world, begun, Origin=GOOD), 204),
    ):
        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == GOOD
        assert answer.headers["Access-Control-Expose-Headers"] == ", ".join(EXPOSED)
        assert answer.headers["Vary"] == "Origin"
    for method in ("HEAD", "PATCH", "GET"):
        assert told(await ask(world, method, begun.target, EVIL)) == {"Vary": "Origin"}


async def test_whoever_takes_it_answers_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also to who names no origin."""
    taken = []
    answer_at_once = ExpressUploads._answer

    def noting(express: ExpressUploads, *args: object) -> object:
        taken.append(True)
        return answer_at_once(express, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(ExpressUploads, "_answer", noting)
    answers = []
    for number, more in enumerate(({}, ORDINARY, {"Origin": EVIL})):
        begun: Begun = await begin(world, "token", f"new/{number}")
        answer = await send(world, begun, **more)
        passing = ("Date", "X-Request-ID")
        answers.append((answer.status, {key: told for key, told in answer.headers.items() if key not in passing}))
    assert taken == [True]
    assert answers == [answers[0]] * 3
    assert (answers[0][0], answers[0][1]["Vary"]) == (204, "Origin")
    assert not [name for name in answers[0][1] if name.startswith("Access-Control")]

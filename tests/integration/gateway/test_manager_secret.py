"""The manager's secret: what opens its port, and what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from harness.world import World
from pydantic import SecretStr

from domain.errors import InvalidRequestError
from gateway.middlewares import require_secret
from gateway.settings import GatewaySettings
from ops.settings import load_settings

KEY = "0123456789abcdef0123456789abcdef"
HEADER = "X-BackendAI-Storage-Auth-Token"


@pytest.mark.anyio
async def test_an_empty_secret_is_a_missing_one(world: World) -> None:
    url = f"http://127.0.0.1:{world.manager_port}/volumes"
    for headers in ({}, {HEADER: ""}, {HEADER: " "}):
        async with world.session.get(url, headers=headers) as answer:
            assert (answer.status, (await answer.json())["title"]) == (403, "Forbidden (missing auth token)")


@pytest.mark.anyio
async def test_nobody_gets_in_by_knowing_nothing() -> None:
    """Whatever the settings let through: nothing is not a proof of anything."""

    async def handler(request: web.Request) -> web.Response:
        raise AssertionError(f"{request.path} was served")

    middleware = require_secret([SecretStr("")], frozenset())
    for headers in ({}, {HEADER: ""}):
        request = make_mocked_request("GET", "/volumes", headers=headers)
        assert (await middleware(request, handler)).status == 403


@pytest.mark.parametrize("wrong", [{"manager_secret": ""}, {"manager_secrets_old": [""]}, {"token_secret": ""}])
def test_empty_secrets_are_refused(wrong: dict[str, Any]) -> None:
    right = {"manager_secret": "s", "token_secret": KEY}
    assert GatewaySettings(**right).manager_secret.get_secret_value() == "s"
    with pytest.raises(ValueError, match="at least"):
        GatewaySettings(**{**right, **wrong})


@pytest.mark.parametrize("secret", ["", "env:PENSTOCK_TEST_SECRET", "file:empty", "file:lines#NAME"])
@pytest.mark.parametrize("name", ["manager_secret", "manager_secrets_old", "token_secret", "token_secrets_old"])
def test_what_a_reference_leads_to_must_not_be_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str, name: str
) -> None:
    monkeypatch.setenv("PENSTOCK_TEST_SECRET", "")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "lines").write_text("NAME=\n")
    given = {"manager_secret": f'"{KEY}"', "token_secret": f'"{KEY}"'}
    given[name] = f'["{secret}"]' if name.endswith("_old") else f'"{secret}"'
    lines = "".join(f"{key} = {value}\n" for key, value in given.items())
    path = tmp_path / "penstock.toml"
    path.write_text(f'[gateway]\n{lines}[volumes.disk]\nbackend = "vfs"\npath = "/"\n')
    with pytest.raises(InvalidRequestError, match=f"gateway.{name}"):
        load_settings(path)


def test_the_environment_must_not_empty_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "penstock.toml"
    secrets = f'manager_secret = "{KEY}"\ntoken_secret = "{KEY}"\n'
    path.write_text(f'[gateway]\n{secrets}[volumes.disk]\nbackend = "vfs"\npath = "/"\n')
    assert load_settings(path).gateway.manager_secret.get_secret_value() == KEY
    monkeypatch.setenv("PENSTOCK__GATEWAY__MANAGER_SECRET", "")
    with pytest.raises(InvalidRequestError, match=r"gateway\.manager_secret"):
        load_settings(path)


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_what_the_port_can_be_asked_is_no_secret(world: World, path: str) -> None:
    """A browser that looks at the page has no secret to send."""
    async with world.session.get(f"http://127.0.0.1:{world.manager_port}{path}") as answer:
        assert answer.status == 200
        assert KEY not in await answer.text()

"""Secrets of the storage proxy: what our settings read is exactly what stood there, and nobody else reads it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidRequestError
from ops.cli import main
from ops.importing import Imported, read_settings, write_settings
from ops.importing.toml import quoted
from ops.settings import GatewaySettings, load_settings

LONG = "0123456789abcdef0123456789abcdef"
#: Letters that readers of lines and of TOML take for something else.
ODD = " \t\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029\u00a0\x00\x7f#=\"'\\:"
TEXTS = st.text(st.one_of(st.sampled_from(ODD), st.characters(exclude_categories=["Cs"])), max_size=40)
#: What begins like a reference, and what only seems to.
SECRETS = st.builds("".join, st.tuples(st.sampled_from(["", "env:", "file:", "env", "file", "https:"]), TEXTS))


def imported(
    folder: Path, manager: str, token: str, out: str = "penstock.toml"
) -> tuple[Imported, GatewaySettings]:
    source = folder / "storage-proxy.toml"
    source.write_text(
        f"[api.manager]\nsecret = {quoted(manager)}\n[storage-proxy]\nsecret = {quoted(token)}\n"
        '[volume.disk]\nbackend = "vfs"\npath = "/srv/disk"\n',
        encoding="utf-8",
    )
    found = read_settings([source])
    write_settings(found, folder / out)
    return found, load_settings(folder / out).gateway


@given(manager=SECRETS, token=st.builds(lambda text: f"{text[:-1]}{LONG}{text[-1:]}", SECRETS))
def test_what_is_read_is_what_stood_there(manager: str, token: str) -> None:
    with TemporaryDirectory() as folder:
        found, gateway = imported(Path(folder), manager, token)
    for key, secret, stood in (
        ("api.manager.secret", gateway.manager_secret, manager),
        ("storage-proxy.secret", gateway.token_secret, token),
    ):
        if "a new one was made" in found.notes.get(key, ""):
            assert len(secret.get_secret_value()) >= 32
            assert not stood or stood.startswith(("env", "file"))
        else:
            assert secret.get_secret_value() == stood


@pytest.mark.parametrize(
    "secret", [f" {LONG} ", f"{LONG}\n", f"\u00a0{LONG}", f"{LONG}\u2028{LONG}", f"g\u00fc{LONG}"]
)
def test_a_secret_no_line_can_hold_stands_in_the_settings(tmp_path: Path, secret: str) -> None:
    found, gateway = imported(tmp_path, secret, secret)
    assert gateway.manager_secret.get_secret_value() == secret
    assert gateway.token_secret.get_secret_value() == secret
    assert stat.S_IMODE((tmp_path / "penstock.toml").stat().st_mode) == 0o600
    assert not (tmp_path / "penstock.secrets").exists()
    assert "owner only" in found.notes["api.manager.secret"]


@pytest.mark.parametrize("secret", ["env:HOME", "file:key", "env", 'a "quoted" # = \\one'])
def test_what_only_looks_like_something_else_stays_what_it_is(tmp_path: Path, secret: str) -> None:
    _, gateway = imported(tmp_path, secret, LONG)
    assert gateway.manager_secret.get_secret_value() == secret


@pytest.mark.parametrize(("secret", "word"), [("", "shorter"), ("env:HOME ", "begins like a reference")])
def test_a_secret_that_cannot_be_said_is_made_anew(tmp_path: Path, secret: str, word: str) -> None:
    found, gateway = imported(tmp_path, secret, "short")
    assert word in found.notes["api.manager.secret"]
    assert "shorter than 32" in found.notes["storage-proxy.secret"]
    assert len(gateway.manager_secret.get_secret_value()) >= 32
    assert len(gateway.token_secret.get_secret_value()) >= 32
    assert not {"api.manager.secret", "storage-proxy.secret"} & found.taken.keys()


@pytest.mark.parametrize("out", ["a#b.toml", "penstock.secrets", "penstock"])
def test_whatever_the_settings_file_is_called(tmp_path: Path, out: str) -> None:
    _, gateway = imported(tmp_path, "manager", LONG, out)
    assert gateway.token_secret.get_secret_value() == LONG


def test_secrets_stay_in_a_file_of_their_own(tmp_path: Path) -> None:
    source, out = tmp_path / "storage-proxy.toml", tmp_path / "penstock.toml"
    source.write_text(
        f'[api.manager]\nsecret = "shared-{LONG}"\n[storage-proxy]\nsecret = "own-{LONG}"\n'
        '[etcd]\npassword = "hidden1"\n'
        '[volume.disk]\nbackend = "netapp"\npath = "/srv/disk"\noptions = { netapp_password = "hidden2" }\n'
        '[volume.odd]\nbackend = "mine"\npath = "/srv/odd"\noptions = { token = "hidden3" }\n'
    )
    done = CliRunner().invoke(main, ["import-config", str(source), "--out", str(out)])
    assert done.exit_code == 0, done.output
    for secret in (LONG, "hidden"):
        assert secret not in out.read_text()
        assert secret not in done.output
    assert stat.S_IMODE((tmp_path / "penstock.secrets").stat().st_mode) == 0o600
    assert "hidden" not in (tmp_path / "penstock.secrets").read_text()


@pytest.mark.parametrize("where", ["penstock.toml", "penstock.secrets"])
@pytest.mark.parametrize("opens", [True, False])
def test_nothing_is_left_where_not_everything_could_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, opens: bool
) -> None:
    source, out = tmp_path / "storage-proxy.toml", tmp_path / "penstock.toml"
    source.write_text('[volume.disk]\nbackend = "vfs"\npath = "/srv/disk"\n')
    found, really = read_settings([source]), os.open

    def full(path: Path, flags: int, mode: int) -> int:
        if path.name != where:
            return really(path, flags, mode)
        if not opens:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.close(really(path, flags, mode))
        return really("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(InvalidRequestError, match="cannot be written: No space left"):
        write_settings(found, out)
    assert list(tmp_path.iterdir()) == [source]


def test_a_secret_that_is_no_text_is_not_told(tmp_path: Path) -> None:
    source = tmp_path / "storage-proxy.toml"
    source.write_text("[api.manager]\nsecret = 987654321\n")
    done = CliRunner().invoke(main, ["import-config", str(source), "--out", str(tmp_path / "p.toml")])
    assert done.exit_code == 1
    assert "api.manager.secret: must be a text" in done.output
    assert "987654321" not in done.output

"""Settings: files, environment, secrets by reference, and errors that name the key and never the value."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.errors import InvalidRequestError
from domain.ids import VolumeName
from ops.settings import load_settings, resolve_secret

GOOD = """
[gateway]
manager_secret = "{secret}"
token_secret = "{secret}"
[volumes.disk]
backend = "vfs"
path = "/srv/disk"
"""
SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PENSTOCK__GATEWAY__TOKEN_SECRET", "PENSTOCK__BUS__URL", "PENSTOCK__GATEWAY__MANAGER_SECRET"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "penstock.toml"
    path.write_text(GOOD.format(secret=SECRET))
    return path


def test_a_file_is_read(file: Path) -> None:
    settings = load_settings(file)
    assert settings.volumes[VolumeName("disk")].backend == "vfs"
    assert settings.volumes[VolumeName("disk")].options == {"path": "/srv/disk"}
    assert settings.gateway.client.port == 6021
    assert settings.gateway.manager.port == 6022
    assert settings.internal.gateway.port == 16023


def test_the_environment_goes_before_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK__BUS__URL", "redis://elsewhere:1/2")
    monkeypatch.setenv("PENSTOCK__GATEWAY__CLIENT__PORT", "7000")
    monkeypatch.setenv("PENSTOCK__VOLUMES__DISK__PATH", "/other")
    monkeypatch.setenv("PENSTOCK__VOLUMES__MORE__BACKEND", "vfs")
    settings = load_settings(file)
    assert settings.bus.url.get_secret_value() == "redis://elsewhere:1/2"
    assert settings.gateway.client.port == 7000
    assert settings.volumes[VolumeName("disk")].options == {"path": "/other"}
    assert set(settings.volumes) == {"disk", "more"}


def test_secrets_are_read_from_files_and_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file.parent / "key").write_text(f"{SECRET}\n")
    (file.parent / "keys.env").write_text(f"A=1\nTOKEN={SECRET[::-1]}\n")
    text = file.read_text().replace(f'manager_secret = "{SECRET}"', 'manager_secret = "file:key"')
    file.write_text(text.replace(f'token_secret = "{SECRET}"', 'token_secret = "file:keys.env#TOKEN"'))
    monkeypatch.setenv("WHERE", "redis://found:1/0")
    monkeypatch.setenv("PENSTOCK__BUS__URL", "env:WHERE")
    settings = load_settings(file)
    assert settings.gateway.manager_secret.get_secret_value() == SECRET
    assert settings.gateway.token_secret.get_secret_value() == SECRET[::-1]
    assert settings.bus.url.get_secret_value() == "redis://found:1/0"


@pytest.mark.parametrize("text", ["file:nope", "file:keys.env#NOPE", "env:NOT_THERE"])
def test_references_that_lead_nowhere_are_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys.env").write_text("A=1\n")
    with pytest.raises(ValueError, match=r"read|line|environment"):
        resolve_secret(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[gateway]\ncolour = 1\n[volumes.disk]\nbackend = 'vfs'", "gateway.colour"),
        ("[nonsense]\nx = 1", "nonsense"),
        ("[bus]\nlease_seconds = 0", "bus.lease_seconds"),
        ("[bus]\nreply_seconds = inf", "bus.reply_seconds"),
        ("[gateway]\ntoken_seconds = inf", "gateway.token_seconds"),
        ("[gateway]\nupload_seconds = 1e12", "gateway.upload_seconds"),
        ("[gateway]\nmax_upload_bytes = 9223372036854775808", "gateway.max_upload_bytes"),
        ("[actors]\nhandler_seconds = nan", "actors.handler_seconds"),
        ("[volumes.'a b']\nbackend = 'vfs'", "volumes"),
        ("[volumes.disk]\npath = '/x'", "backend"),
        ("[gateway]\ntoken_secret = 'short-but-secret'", "token_secret"),
        (
            "[gateway]\ntrusted_proxies = ['10.0.0.1/8']",
            r"gateway\.trusted_proxies\.0: \S+ \S+ 10.0.0.1/8 has host bits",
        ),
        ("[bus]\nurl = 'file:nope'", r"bus\.url: cannot read the secret in nope"),
        ("[gateway]\nallow_origins = ['*', 'https://a.example/']", r"gateway\.allow_origins\.1: .* no origin"),
        ("[gateway]\noffload_prefix = 'volumes'", r"gateway\.offload_prefix"),
        (
            "[actors]\nquarantine = ['vfolder.create', 'vfolder.creat']",
            r"actors\.quarantine\.1: .* vfolder\.creat is no",
        ),
        ("[actors]\nalert_percents = [0]", r"actors\.alert_percents\.0"),
        ("[log]\nlevel = 'LOUD'", "log.level"),
        ("x = ", "TOML"),
    ],
)
def test_wrong_settings_are_named_and_no_value_is_shown(file: Path, text: str, word: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidRequestError, match=word) as caught:
        load_settings(file)
    assert "short-but-secret" not in caught.value.message


def test_a_token_secret_of_another_kind_is_named_and_not_shown(file: Path) -> None:
    key = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQc\n-----END PUBLIC KEY-----\n"
    (file.parent / "key.pem").write_text(key)
    file.write_text(file.read_text().replace(f'token_secret = "{SECRET}"', 'token_secret = "file:key.pem"'))
    with pytest.raises(InvalidRequestError, match=r"gateway\.token_secret.*no shared secret") as caught:
        load_settings(file)
    assert "MFkwEwYHKoZIzj0CAQ" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="no settings file"):
        load_settings(tmp_path / "nope.toml")


def test_secrets_do_not_show(file: Path) -> None:
    assert SECRET not in repr(load_settings(file))
    assert SECRET not in load_settings(file).model_dump_json()

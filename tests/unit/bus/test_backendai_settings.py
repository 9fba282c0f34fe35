"""What can be set about the bridge is looked at when settings are loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.settings import BusSettings
from domain.errors import InvalidRequestError
from ops.settings import Settings, load_settings

SECRET = "0123456789abcdef0123456789abcdef"


def load(folder: Path, text: str) -> Settings:
    path = folder / "penstock.toml"
    path.write_text(
        f"""
[gateway]
manager_secret = "{SECRET}"
token_secret = "{SECRET}"
[volumes.disk]
backend = "vfs"
path = "/srv/disk"
[backendai]
{text}
"""
    )
    return load_settings(path)


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://user:p%40ss@h:6379/4",
        "rediss://h:6380/4?ssl_ca_certs=/etc/ca.pem",
        "unix:///run/redis.sock?db=4",
        "redis+sentinel://user:pw@a:26379,b/service/4?sentinel_password=pw",
        "rediss+sentinel://a,b,c/service/4",
    ],
)
def test_whatever_the_bus_takes_is_taken(tmp_path: Path, url: str) -> None:
    settings = load(tmp_path, f'url = "{url}"')
    reached = settings.backendai.reached_by(BusSettings(command_timeout_seconds=1.5))
    assert reached is not None
    assert (reached.url.get_secret_value(), reached.command_timeout_seconds) == (url, 1.5)


def test_without_a_url_there_is_no_bridge(tmp_path: Path) -> None:
    assert load(tmp_path, "").backendai.reached_by(BusSettings()) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://:pass-word@h",
        "redis://:pass-word@h:port/4",
        "redis://:pass-word@h:6379/four",
        "redis://:pass-word@h:6379/4?no_such_option=1",
        "redis://:pass-word@[::1:6379/4",
        "redis+sentinel://:pass-word@h",
        "redis+sentinel://:pass-word@h:x/service/4",
        "redis+sentinel://:pass-word@h:1/service/four",
    ],
)
def test_a_url_that_leads_nowhere_is_refused_without_telling_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"backendai\.url: .*redis\+sentinel://") as caught:
        load(tmp_path, f'url = "{url}"')
    assert "pass-word" not in caught.value.message
    assert "bus.url" not in caught.value.message


@pytest.mark.parametrize(
    ("key", "program"),
    [
        ("mount_program", "['mount', '-t', '{type}', '-o', '{options}', '{location}', '{path}']"),
        ("mount_program", "['sh', '-c', 'echo ${{X}} \"$1\"', '-', '{path}{scope}{edit_fstab}{fstab_path}']"),
        ("unmount_program", "['umount', '{path}', '{scope}', '{edit_fstab}', '{fstab_path}']"),
    ],
)
def test_what_stands_for_something_is_taken(tmp_path: Path, key: str, program: str) -> None:
    assert getattr(load(tmp_path, f"{key} = {program}").backendai, key)


@pytest.mark.parametrize(
    ("key", "word", "told"),
    [
        ("mount_program", "echo ${X} {path}", "{X}"),
        ("mount_program", "{path", "a single brace"),
        ("mount_program", "path}", "a single brace"),
        ("mount_program", "{}", "a brace"),
        ("mount_program", "{0}", "a brace"),
        ("mount_program", "{path!r}", "a brace"),
        ("mount_program", "{path:>9}", "a brace"),
        ("mount_program", "{path.parent}", "a brace"),
        ("mount_program", "{'password': 'pass-word'}", "a brace"),
        ("unmount_program", "{location}", "{location}"),
    ],
)
def test_what_stands_for_nothing_is_refused_with_its_place(tmp_path: Path, key: str, word: str, told: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        load(tmp_path, f'{key} = ["program", "{word}"]')
    message = caught.value.message
    assert f"backendai.{key}: " in message
    assert f"word 2 holds {told}, which" in message
    assert "{fstab_path}" in message, "what there is instead"
    assert "pass-word" not in message

"""The doctor finds what is wrong and says how to mend it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from harness.redis_server import free_port
from harness.sentinels import Failover

from backends.mounted.mountinfo import MountedAs
from bus.backendai.rights import NEEDED_RIGHTS
from ops import doctor
from ops.cli import main

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def config(tmp_path: Path, clean_redis) -> Path:
    (tmp_path / "volume").mkdir()
    path = tmp_path / "penstock.toml"
    path.write_text(
        f"""
[bus]
url = "{clean_redis.url}"
[gateway]
manager_secret = "{SECRET}"
token_secret = "{SECRET}"
client = {{port = {free_port()}}}
manager = {{port = {free_port()}}}
[internal]
gateway = {{port = {free_port()}}}
[volumes.disk]
backend = "vfs"
path = "{tmp_path}/volume"
"""
    )
    return path


def examine(config: Path) -> tuple[int, dict[str, list[dict[str, str]]]]:
    result = CliRunner().invoke(main, ["doctor", "--config", str(config), "--json"])
    findings: dict[str, list[dict[str, str]]] = {}
    for finding in json.loads(result.stdout):
        findings.setdefault(finding["what"], []).append(finding)
    return result.exit_code, findings


def grades(findings: list[dict[str, str]]) -> set[str]:
    return {finding["grade"] for finding in findings}


def test_all_is_well(config: Path) -> None:
    code, findings = examine(config)
    assert code == 0
    assert {"python", "settings", "redis", "redis append-only file", "redis eviction", "job queue"} <= set(findings)
    for what, found in findings.items():
        if what != "volume disk":
            assert grades(found) == {"ok"}, found
    assert "fail" not in grades(findings["volume disk"])


def change(config: Path, old: str, new: str) -> None:
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))


def test_a_volume_that_is_not_there(config: Path) -> None:
    change(config, "/volume", "/nope")
    code, findings = examine(config)
    assert code == 1
    (finding,) = findings["volume disk"]
    assert (finding["grade"], finding["remedy"][:8]) == ("fail", "mkdir -p")


def test_directories_outside_of_all_volumes(config: Path, tmp_path: Path) -> None:
    change(config, "[gateway]\n", f'[gateway]\nunmanaged_paths = ["{tmp_path}/volume", "{tmp_path}/nope"]\n')
    code, findings = examine(config)
    assert code == 0
    assert grades(findings[f"unmanaged path {tmp_path}/volume"]) == {"ok"}
    (finding,) = findings[f"unmanaged path {tmp_path}/nope"]
    assert (finding["grade"], finding["seen"]) == ("warn", "cannot be read: No such file or directory")


def test_an_unknown_backend(config: Path) -> None:
    change(config, '"vfs"', '"floppy"')
    code, findings = examine(config)
    assert code == 1
    assert "vfs" in findings["volume disk"][0]["remedy"]


def test_a_redis_that_is_away(config: Path, clean_redis) -> None:
    change(config, str(clean_redis.port), str(free_port()))
    code, findings = examine(config)
    assert code == 1
    assert grades(findings["redis"]) == grades(findings["job queue"]) == {"fail"}


def test_a_redis_that_forgets(config: Path, clean_redis) -> None:
    import redis

    with redis.Redis(port=clean_redis.port) as client:
        client.config_set("appendonly", "no")
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            code, findings = examine(config)
        finally:
            client.config_set("appendonly", "yes")
            client.config_set("maxmemory-policy", "noeviction")
    assert code == 1
    assert grades(findings["redis append-only file"]) == grades(findings["redis eviction"]) == {"fail"}


def test_a_redis_that_answers_before_it_has_written(config: Path, clean_redis) -> None:
    import redis

    with redis.Redis(port=clean_redis.port) as client:
        client.config_set("appendfsync", "everysec")
        try:
            code, findings = examine(config)
        finally:
            client.config_set("appendfsync", "always")
    assert code == 0
    (finding,) = findings["redis append-only file"]
    assert finding["grade"] == "warn"
    assert "everysec" in finding["seen"]
    assert "appendfsync always" in finding["remedy"]


def test_a_redis_user_who_may_not_ask_for_its_settings(config: Path, clean_redis) -> None:
    import redis

    with redis.Redis(port=clean_redis.port) as client:
        client.acl_setuser("careful", enabled=True, passwords=["+pw"], commands=["+@all", "-config"], keys=["*"])
        try:
            change(config, "redis://", "redis://careful:pw@")
            code, findings = examine(config)
        finally:
            client.acl_deluser("careful")
    assert code == 0
    assert grades(findings["redis append-only file"]) == {"ok"}


@pytest.mark.parametrize("told", [{}, {"redis_version": "unstable"}, {"server_name": "other", "redis_version": ""}])
def test_a_redis_that_does_not_tell_its_version(told: dict[str, str]) -> None:
    found = doctor._redis_version("redis", told)
    assert found.grade == doctor.Grade.WARN
    assert found.seen.startswith(told.get("server_name", "redis"))
    assert "6.2" in found.remedy


@pytest.mark.parametrize(
    ("told", "grade", "seen"),
    [
        ({"redis_version": "6.0.16"}, doctor.Grade.FAIL, "redis 6.0.16"),
        ({"redis_version": "7.2.4"}, doctor.Grade.OK, "redis 7.2.4"),
        ({"server_name": "valkey", "valkey_version": "9.1.0", "redis_version": "7.2.4"}, "ok", "valkey 9.1.0"),
    ],
)
def test_which_redis_it_is(told: dict[str, str], grade: str, seen: str) -> None:
    found = doctor._redis_version("redis", told)
    assert (found.grade, found.seen) == (grade, seen)


@pytest.fixture(scope="module")
def failover(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Failover]:
    servers = Failover(tmp_path_factory.mktemp("sentinels"))
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


def test_sentinels_lead_to_the_bus_and_to_the_manager(config: Path, clean_redis, failover: Failover) -> None:
    change(config, clean_redis.url, failover.url)
    carry_to(config, failover.url.removesuffix("/0") + "/4")
    code, findings = examine(config)
    assert code == 1
    assert findings["job queue"][0]["remedy"] == "set worker.url", "the queue knows no Sentinels"
    config.write_text(f'{config.read_text()}\n[worker]\nurl = "{clean_redis.url}"\n')
    code, findings = examine(config)
    assert code == 0
    for what in ("redis", "redis append-only file", "job queue", "backendai.url"):
        assert grades(findings[what]) == {"ok"}, findings[what]


def test_sentinels_that_know_no_primary_of_that_name(config: Path, clean_redis, failover: Failover) -> None:
    change(config, clean_redis.url, failover.url.replace("/penstock/", "/another/"))
    code, findings = examine(config)
    assert code == 1
    assert grades(findings["redis"]) == {"fail"}
    assert "another" in findings["redis"][0]["seen"]


def carry_to(config: Path, url: str) -> None:
    """Have events carried to a Redis of Backend.AI's."""
    config.write_text(f'{config.read_text()}\n[backendai]\nurl = "{url}"\n')


def as_bridge(url: str) -> str:
    """Where the manager's events are: in its fourth database, behind a user of the bridge's own."""
    return url.replace("redis://", "redis://bridge:pw@").rpartition("/")[0] + "/4"


def test_a_manager_s_redis_that_lets_the_bridge_work(config: Path, clean_redis) -> None:
    import redis

    rights = NEEDED_RIGHTS.split()
    with redis.Redis(port=clean_redis.port) as client:
        client.execute_command("ACL", "SETUSER", "bridge", "reset", "on", ">pw", "resetchannels", *rights)
        try:
            carry_to(config, as_bridge(clean_redis.url))
            code, findings = examine(config)
        finally:
            client.acl_deluser("bridge")
        says = client.info("server")["redis_version"] >= "7"
        with redis.Redis(port=clean_redis.port, db=4) as fourth:
            assert set(fourth.keys()) <= {b"penstock:carried:doctor"}
        assert not client.keys()
    assert code == 0
    (finding,) = findings["backendai.url"]
    assert finding["grade"] == ("ok" if says else "warn"), finding


@pytest.mark.parametrize(
    ("right", "told"),
    [
        ("&events_all", "may not PUBLISH events_all, SUBSCRIBE events_all"),
        ("+publish", "may not PUBLISH events_all"),
        ("~bgtask.*", "may not SET bgtask."),
        ("+xadd", "may not XADD events"),
        ("~penstock:carried:*", "refuses"),
        ("+eval", "refuses"),
        ("+select", "no permissions"),
    ],
)
def test_a_manager_s_redis_that_refuses_the_bridge_something(
    config: Path, clean_redis, right: str, told: str
) -> None:
    import redis

    rights = [each for each in NEEDED_RIGHTS.split() if each != right]
    with redis.Redis(port=clean_redis.port) as client:
        client.execute_command("ACL", "SETUSER", "bridge", "reset", "on", ">pw", "resetchannels", *rights)
        try:
            carry_to(config, as_bridge(clean_redis.url))
            code, findings = examine(config)
        finally:
            client.acl_deluser("bridge")
        says = client.info("server")["redis_version"] >= "7" or told in ("refuses", "no permissions")
    (finding,) = findings["backendai.url"]
    assert right in finding["remedy"]
    if says:
        assert (code, finding["grade"]) == (1, "fail")
        assert told in finding["seen"]
    else:
        assert (code, finding["grade"]) == (0, "warn")


@pytest.mark.parametrize(
    "url", ["redis://:pass-word@127.0.0.1:{port}/4", "redis+sentinel://:pass-word@127.0.0.1:{port}/service/4"]
)
def test_a_manager_s_redis_that_is_away(config: Path, url: str) -> None:
    carry_to(config, url.format(port=free_port()))
    code, findings = examine(config)
    assert code == 1
    (finding,) = findings["backendai.url"]
    assert finding["grade"] == "fail"
    assert "pass-word" not in json.dumps(findings)


def test_wrong_settings(config: Path) -> None:
    change(config, "[internal]", "[internal]\ncolour = 1")
    code, findings = examine(config)
    assert code == 1
    assert "internal.colour" in findings["settings"][0]["seen"]


def test_a_weak_secret_is_told_and_not_shown(config: Path) -> None:
    change(config, f'manager_secret = "{SECRET}"', 'manager_secret = "short"')
    _, findings = examine(config)
    assert grades(findings["gateway.manager_secret"]) == {"warn"}
    assert "short" not in json.dumps(findings)


def test_secrets_in_files_are_utf_8_whatever_the_locale_says(config: Path, tmp_path: Path) -> None:
    change(config, f'manager_secret = "{SECRET}"', 'manager_secret = "file:key"')
    (tmp_path / "key").write_text(f"ä{SECRET}\n", encoding="utf-8")
    _, findings = examine(config)
    assert findings["gateway.manager_secret"][0]["seen"] == "33 characters"
    (tmp_path / "key").write_bytes(b"\xff" + SECRET.encode())
    code, findings = examine(config)
    assert code == 1
    assert "the secret in key is no UTF-8" in findings["settings"][0]["seen"]
    assert SECRET not in json.dumps(findings)


def test_people_get_a_table(config: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", "--config", str(config)])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].split() == ["grade", "what", "seen", "remedy"]


@pytest.mark.parametrize(
    ("file_system", "options", "wrong"),
    [
        ("ext4", "rw,vers=3,soft", []),
        ("nfs4", "rw,vers=4.2,hard", []),
        ("nfs4", "rw,vers=4.2,softreval,hard", []),
        ("nfs4", "rw,vers=4.1,soft", ["soft"]),
        ("nfs4", "rw,vers=4.0,softerr", ["soft", "4.0"]),
        ("nfs", "rw,vers=3,hard", ["NFS 3"]),
        ("nfs", "rw", ["unknown version"]),
    ],
)
def test_how_a_volume_is_mounted(file_system: str, options: str, wrong: list[str]) -> None:
    kind = "nfs" if file_system.startswith("nfs") else "direct"
    *warned, about = doctor._mounted("disk", MountedAs("/mnt", kind, "server:/export", options, file_system))
    for words, found in zip(wrong, warned, strict=True):
        assert found.grade == doctor.Grade.WARN
        assert words in found.seen
    assert ("other hosts" in about.seen) == (kind == "nfs")
    assert about.seen.startswith(file_system)

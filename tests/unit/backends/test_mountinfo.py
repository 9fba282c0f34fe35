"""Reading the mount table."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backends.mounted import mountinfo
from backends.mounted.mountinfo import MountedAs, mounted_as

TABLE = r"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw,errors=remount-ro
40 22 0:35 / /mnt/nfs rw,relatime shared:9 - nfs4 10.0.0.1:/export rw,vers=4.2,hard
41 22 0:36 / /mnt/nfs\040two ro - nfs filer:/vol\0401 rw,nolock
42 40 0:37 / /mnt/nfs/inner rw - fuse.ceph-fuse ceph-fuse rw,user_id=0
43 22 254:9 / /mnt/hidden rw - xfs /dev/old rw
44 43 254:10 / /mnt/hidden rw - xfs /dev/new rw,prjquota
nonsense
"""


@pytest.mark.parametrize(
    ("path", "kind", "source", "options"),
    [
        ("/srv/disk", "direct", "/dev/root", "rw,relatime,errors=remount-ro"),
        ("/mnt/nfs", "nfs", "10.0.0.1:/export", "rw,relatime,vers=4.2,hard"),
        ("/mnt/nfs/a/b", "nfs", "10.0.0.1:/export", "rw,relatime,vers=4.2,hard"),
        ("/mnt/nfsx", "direct", "/dev/root", "rw,relatime,errors=remount-ro"),
        ("/mnt/nfs two/x", "nfs", "filer:/vol 1", "ro,rw,nolock"),
        ("/mnt/nfs/inner/x", "fuse", "ceph-fuse", "rw,user_id=0"),
        ("/mnt/hidden/x", "direct", "/dev/new", "rw,prjquota"),
    ],
)
def test_the_mount_a_path_lies_on(path: str, kind: str, source: str, options: str) -> None:
    found = mounted_as(path, TABLE)
    assert (found.kind, found.source, found.options) == (kind, source, options)


@pytest.mark.parametrize(
    ("file_system", "options", "unit"),
    [
        ("ext4", "rw", None),
        ("xfs", "rw,wsize=4096", None),
        ("nfs4", "rw,vers=4.2,rsize=1048576,wsize=1048576", 1 << 20),
        ("nfs", "rw,wsize=65536,rsize=1", 65536),
        ("nfs4", "wsize=4194304", 1 << 20),
        ("ceph", "rw,xwsize=512", 1 << 20),
        ("fuse.sshfs", "rw", 1 << 20),
        ("", "", 1 << 20),
    ],
)
def test_what_several_hosts_have_is_written_through(file_system: str, options: str, unit: int | None) -> None:
    assert MountedAs("/", "direct", "", options, file_system).write_unit == unit


def test_this_machine_s_own(tmp_path: Path) -> None:
    found = mounted_as(str(tmp_path))
    assert os.path.ismount(found.point)
    assert str(tmp_path).startswith(found.point)


def test_nothing_to_read() -> None:
    assert mounted_as("/x", "").kind == "direct"


@pytest.mark.parametrize(
    ("file_system", "source", "has_journal"),
    [
        ("ext4", "/dev/sda1", True),
        ("ext4", "/dev/mapper/data", True),
        ("ext4", "/dev/sdb", False),
        ("ext4", "/dev/sd", False),
        ("xfs", "/dev/sdb", True),
        ("ext4", "/dev/another", True),
    ],
)
def test_an_ext4_without_a_journal_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_system: str, source: str, has_journal: bool
) -> None:
    for place in ("ext4/sda1", "ext4/data", "ext4/sdb", "ext4/sd", "jbd2/sda1-8", "jbd2/data-8"):
        (tmp_path / place).mkdir(parents=True)
    monkeypatch.setattr(mountinfo, "_EXT4", str(tmp_path / "ext4"))
    monkeypatch.setattr(mountinfo, "_JOURNALS", str(tmp_path / "jbd2"))
    assert MountedAs("/", "direct", source, "rw", file_system).has_journal == has_journal
    monkeypatch.setattr(mountinfo, "_EXT4", str(tmp_path / "nowhere"))
    assert MountedAs("/", "direct", source, "rw", file_system).has_journal, "not all kernels tell"

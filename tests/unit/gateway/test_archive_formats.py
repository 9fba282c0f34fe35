"""What is said of an archive's layout is what is written."""

from __future__ import annotations

import stat
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.contract import EntryKind, FileStat
from domain.errors import TooLargeError
from domain.paths import RelativePath
from gateway.archive.layout import Format, Layout
from gateway.archive.manifest import member_of
from gateway.archive.tar import Tar
from gateway.archive.zip import Zip

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=300)
sizes = st.integers(0, 1000) | st.sampled_from([8**11 - 1, 8**11, 2**32 - 2, 2**32 - 1, 2**32, 2**40])
times = st.integers(-(10**10), 10**11)
kinds = st.sampled_from([EntryKind.FILE, EntryKind.DIRECTORY, EntryKind.SYMLINK])
short = st.text(st.characters(codec="ascii", exclude_characters="\0/"), min_size=1, max_size=101)
TYPES = {EntryKind.FILE: tarfile.REGTYPE, EntryKind.DIRECTORY: tarfile.DIRTYPE, EntryKind.SYMLINK: tarfile.SYMTYPE}


@pytest.mark.parametrize("form", [Tar(), Zip()])
@given(names, sizes, times, kinds, names, st.sampled_from([0, 2**32 - 2, 2**32 - 1, 2**40]))
def test_lengths_are_told_as_they_are(
    form: Format, name: str, size: int, time: int, kind: EntryKind, target: str, offset: int
) -> None:
    known = FileStat(kind, size, 0o644, time * 10**9, time * 10**9, 1)
    link = target if kind is EntryKind.SYMLINK else ""
    member = member_of(name + ("/" if kind is EntryKind.DIRECTORY else ""), RelativePath(()), known, target=link)
    head, tail, entry = form.lengths(member, offset)
    assert head == len(form.head(member))
    assert entry == len(form.entry(member, offset, 7))
    if member.size < 10**6:
        assert tail == len(form.tail(member, 7))


@given(names | short, sizes, times, kinds, names | short, st.integers(0, 0o7777))
def test_headers_of_tar_are_those_of_tarfile(
    name: str, size: int, time: int, kind: EntryKind, target: str, mode: int
) -> None:
    known = FileStat(kind, size, stat.S_IFREG | mode, time * 10**9, time * 10**9, 1)
    link = target if kind is EntryKind.SYMLINK else ""
    member = member_of(name + ("/" if kind is EntryKind.DIRECTORY else ""), RelativePath(()), known, target=link)
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname, info.mtime = TYPES[kind], mode, link, time
    info.size = size if kind is EntryKind.FILE else 0
    assert Tar().head(member) == info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


@pytest.mark.parametrize(("size", "padding"), [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)])
def test_a_tar_is_made_of_blocks_and_ends_on_two_of_zeros(size: int, padding: int) -> None:
    member = member_of("a", RelativePath(("a",)), FileStat(EntryKind.FILE, size, 0o644, 0, 0, 1))
    assert Tar().tail(member, 0) == bytes(padding)
    assert Tar().lengths(member, 0) == (512, padding, 0)
    assert Tar().end(1, 0, 0) == bytes(1024)


@pytest.mark.parametrize("form", [Tar(), Zip()])
def test_an_archive_is_not_longer_than_a_file_can_be(form: Format) -> None:
    """There are file systems on which each of two files with holes is as long as that."""
    known = FileStat(EntryKind.FILE, 2**62, 0o644, 0, 0, 1)
    members = [member_of(name, RelativePath((name,)), known) for name in "abc"]
    assert Layout(members[:1], form).size > 2**62
    for many in (members[:2], members * 2):
        with pytest.raises(TooLargeError):
            Layout(many, form)

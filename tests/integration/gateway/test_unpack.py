"""What is read of archives is what other programs put in, and nothing else can be made of them than a refusal."""

from __future__ import annotations

import io
import lzma
import os
import struct
import subprocess
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest
import zstandard
from harness.archives import tar_of
from harness.packed import CHECKED, FILES, LIMITS, MAKERS, NOISE, PLAIN, REFUSED, ZIPS, read, tar_form, zip_of
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidRequestError, TooLargeError
from domain.foreign_names import sendable
from domain.paths import ROOT, RelativePath
from gateway.archive import unpack
from gateway.archive.unpack import UnpackLimits, check, items

#: Without those by which bytes are told that are no letters: U+10FF80 to U+10FFFF are told otherwise themselves.
letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0/", max_codepoint=0x10FF7F)
names = st.text(letters, min_size=1, max_size=60)
trees = st.dictionaries(names.filter(lambda name: name not in (".", "..", ".upload")), st.binary(max_size=2000))


@pytest.mark.parametrize("kind", list(MAKERS))
def test_all_that_was_put_in_comes_out(kind: str) -> None:
    assert read(MAKERS[kind](FILES)) == FILES


@given(trees, st.sampled_from(["gnu", "pax", "zip", "deflated"]))
def test_whatever_was_put_in_comes_out(files: dict[str, bytes], kind: str) -> None:
    assert read(MAKERS[kind](files)) == files


def test_names_of_the_oldest_form() -> None:
    files = {"a": b"1", "d/" * 40 + "b" * 30: b"2"}
    assert read(tar_form(tarfile.USTAR_FORMAT)(files)) == files


@pytest.mark.parametrize(
    "name", ["PKG-INFO", "PK", "PK\3\4", "BZh9.txt", "(\udcb5/\udcfd", "\x1f\udc8b", "\udcfd7zXZ"]
)
def test_a_tar_whose_first_name_begins_as_another_archive(name: str) -> None:
    data = MAKERS["gnu"]({name: b"1", "other": b"2"})
    assert data.startswith(os.fsencode(name))
    assert read(data) == {sendable(name): b"1", "other": b"2"}


def test_something_stands_before_a_zip() -> None:
    data = b"PK is what it begins with" + zip_of(FILES)
    assert read(data) == FILES


def test_a_zip_whose_numbers_have_64_bits() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in FILES.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)
    data = target.getvalue()
    at = data.rindex(b"PK\5\6")
    sign, _, _, _, count, length, begin, _ = struct.unpack("<4sHHHHIIH", data[at:])
    wide = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, begin)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, at, 1)
    end = struct.pack("<4sHHHHIIH", sign, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    assert read(data[:at] + wide + locator + end) == FILES


def test_a_zip_of_a_file_as_long_as_32_bits_can_tell() -> None:
    """Info-ZIP tells that in 32 bits, which elsewhere say that the number stands in a field of its own."""
    size = 0xFFFFFFFF
    data = bytearray(zip_of({"a": b""}, zipfile.ZIP_DEFLATED))
    struct.pack_into("<I", data, data.index(b"PK\1\2") + 24, size)
    limits = UnpackLimits(entries=2, total_bytes=size, ratio=size)
    assert check(io.BytesIO(data), len(data), limits, ROOT) == size


def test_a_zip_of_what_came_through_a_pipe(tmp_path: Path) -> None:
    """Info-ZIP tells its numbers in 64 bits then, besides those of 32 that hold them."""
    subprocess.run(["zip", "-q", "x.zip", "-"], input=NOISE, check=True, cwd=tmp_path)
    assert read((tmp_path / "x.zip").read_bytes()) == {"-": NOISE}


@pytest.mark.parametrize("form", ["gnu", "posix", "--sparse-version=0.1", "--sparse-version=0.0"])
def test_files_with_holes(tmp_path: Path, form: str) -> None:
    path = tmp_path / "holed"
    with path.open("wb") as file:
        for at in range(0, 40 << 20, 1 << 20):
            os.pwrite(file.fileno(), NOISE[:5000], at)
        os.truncate(file.fileno(), 41 << 20)
    how = ["--format=posix", form] if form.startswith("-") else [f"--format={form}"]
    data = subprocess.run(
        ["tar", "-C", tmp_path, "-S", *how, "-c", "holed"], check=True, capture_output=True
    ).stdout
    assert len(data) < 1 << 20
    assert read(data) == {"holed": path.read_bytes()}


@pytest.mark.parametrize("form", ["gnu", "posix"])
@pytest.mark.parametrize("how", ["--label=a label", "--incremental"])
def test_what_else_gnu_tar_puts_in(tmp_path: Path, form: str, how: str) -> None:
    """Labels are of the archive; behind directories there are lists of their names."""
    (tmp_path / "d" / "empty").mkdir(parents=True)
    for name in "abc":
        (tmp_path / "d" / name).write_bytes(name.encode())
    command = ["tar", "-C", tmp_path, f"--format={form}", how, "-c", "d"]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    assert read(data) == {"d/a": b"a", "d/b": b"b", "d/c": b"c"}
    entries = items(io.BytesIO(data), len(data), LIMITS)
    assert sorted(str(item.path) for item in entries if item.is_directory) == ["d", "d/empty"]


def test_a_directory_of_a_zip_with_bytes_of_its_own_is_refused() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("d/", b"lost")
    with pytest.raises(InvalidRequestError, match="'d/' is a directory, and has bytes"):
        read(target.getvalue())


def test_names_that_info_zip_has_written(tmp_path: Path) -> None:
    """It tells nobody that they are UTF-8."""
    (tmp_path / "한글.txt").write_bytes(b"1")
    subprocess.run(["zip", "-q", "x.zip", "한글.txt"], check=True, cwd=tmp_path)
    assert read((tmp_path / "x.zip").read_bytes()) == {"한글.txt": b"1"}


def test_names_of_the_first_personal_computers() -> None:
    data = bytearray(zip_of({"caf?": b"1"}))
    while (at := data.find(b"caf?")) >= 0:
        data[at : at + 4] = b"caf\x82"
    assert read(bytes(data)) == {"café": b"1"}


def test_a_backslash_that_may_be_half_a_letter_stays() -> None:
    """In Shift JIS it is a part of some letters."""
    data = bytearray(zip_of({"x?": b"1"}))
    while (at := data.find(b"x?")) >= 0:
        data[at : at + 2] = "ソ".encode("shift_jis")
    data[data.index(b"PK\1\2") + 5] = 0
    assert read(bytes(data)) == {"â\\": b"1"}


@pytest.mark.parametrize(
    ("system", "name", "wanted"),
    [
        (0, "d\\e\\a", "d/e/a"),
        (0, "d/e\\a", "d/e\\a"),
        (3, "d\\e\\a", "d\\e\\a"),
        (0, "dé\\a", "dé/a"),
        (0, "d\\", None),
        (0, "..\\a", InvalidRequestError),
    ],
)
def test_backslashes_are_slashes_where_names_have_none(
    system: int, name: str, wanted: str | type[InvalidRequestError] | None
) -> None:
    """As programs for Windows wrote them, and others read them."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.create_system = system
        archive.writestr(info, b"")
    if isinstance(wanted, type):
        with pytest.raises(wanted):
            read(target.getvalue())
    else:
        assert read(target.getvalue()) == ({wanted: b""} if wanted else {})


KOREAN = "한글/파일.txt"
#: As Korean Windows writes it, and what is read of that where nothing tells what it is.
WRITTEN = KOREAN.encode("cp949")
MISREAD = WRITTEN.decode("cp437")


def told_twice(
    meant: bytes, *, written: bytes = WRITTEN, version: int = 1, crc: int | None = None, data: bytes = b"1"
) -> bytes:
    """A zip with a member whose name is told once more, in UTF-8 (Info-ZIP Unicode Path Extra Field)."""
    crc = zlib.crc32(written) if crc is None else crc
    field = struct.pack("<HHBI", 0x7075, 5 + len(meant), version, crc) + meant
    info = zipfile.ZipInfo("?" * len(written))
    info.create_system, info.extra = 0, struct.pack("<HHI", 0xCAFE, 4, 0) + field
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(info, data)
        archive.writestr("other", b"2")
    return target.getvalue().replace(info.filename.encode(), written)


def test_names_that_are_told_once_more_in_utf8() -> None:
    assert read(told_twice(KOREAN.encode())) == {KOREAN: b"1", "other": b"2"}
    assert read(told_twice(b"a/d/", data=b"")) == {"other": b"2"}


@pytest.mark.parametrize(
    "data",
    [
        told_twice(b"x", version=2),
        told_twice(b"x", crc=zlib.crc32(b"renamed since")),
        told_twice(WRITTEN),
        told_twice(b""),
    ],
)
def test_names_that_are_told_once_more_in_a_way_that_does_not_hold(data: bytes) -> None:
    assert read(data) == {MISREAD: b"1", "other": b"2"}


def test_names_that_say_to_be_utf8_are_told_by_nothing_else() -> None:
    info, written = zipfile.ZipInfo("é"), "é".encode()
    info.extra = struct.pack("<HHBI", 0x7075, 6, 1, zlib.crc32(written)) + b"x"
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(info, b"1")
    assert read(target.getvalue()) == {"é": b"1"}


@pytest.mark.parametrize("meant", [b"../x", b"/x", b"a/../../x", b"x\0", b".upload/x", b"other", b"other/x", b"d/"])
def test_names_that_are_told_once_more_are_held_to_all_that_names_are(meant: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        read(told_twice(meant, written=b"harmless"))
    read(told_twice(b"harmless", written=meant))


def test_names_that_are_told_once_more_count_among_all_names() -> None:
    limits = UnpackLimits(2, 1 << 20, 1000)
    with pytest.raises(TooLargeError, match="too long to be those of files"):
        read(told_twice(b"x" * 65_000, written=b"y" * 600), limits)


@pytest.mark.parametrize("kind", list(MAKERS))
def test_archives_that_are_cut_are_refused_wherever_it_is(kind: str) -> None:
    data = MAKERS[kind]({**FILES, "last": NOISE})
    # Behind its members a plain archive has some KiB of zeros, of which it needs none.
    last = len(data) - (11_000 if kind in PLAIN else 1)
    for end in [*range(0, last, max(len(data) // 50, 1)), *range(last - 100, last + 1)]:
        with pytest.raises(REFUSED):
            read(data[:end])


@pytest.mark.parametrize("kind", ZIPS)
def test_members_of_a_zip_that_are_damaged_are_refused(kind: str) -> None:
    data = bytearray(MAKERS[kind]({"a": NOISE}))
    data[len(data) // 2] ^= 1
    with pytest.raises(InvalidRequestError):
        read(bytes(data))


@given(st.sampled_from(list(MAKERS)), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255))))
def test_of_damaged_archives_nothing_comes_but_files_or_a_refusal(
    kind: str, damage: list[tuple[float, int]]
) -> None:
    files = {"a": NOISE[:3000], "b/c": b"x"}
    data = bytearray(MAKERS[kind](files))
    for place, byte in damage:
        data[int(place * len(data))] = byte
    try:
        found = read(bytes(data))
    except REFUSED:
        return
    if kind in CHECKED:
        assert found == files
    elif kind in ZIPS:
        # Its names are told twice, and by no checksum.
        assert sorted(found.values()) == sorted(files.values())


@pytest.mark.parametrize("make", ["zip", "pax"])
@pytest.mark.parametrize(
    "wanted",
    [("q/a", "q/a/b"), ("q/a/b/c", "q/a"), ("a", "x/../a"), ("a", "a!", "a/b"), (".",), ("x/..",), ("a", "a/")],
)
def test_names_in_each_others_way_are_refused_before_anything_is_unpacked(
    make: str, wanted: tuple[str, ...]
) -> None:
    data = MAKERS[make](dict.fromkeys(wanted, b"")) if make == "zip" else with_directories(wanted)
    with pytest.raises(InvalidRequestError):
        check(io.BytesIO(data), len(data), LIMITS, ROOT)


def with_directories(wanted: tuple[str, ...]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name in wanted:
            info = tarfile.TarInfo(name.rstrip("/"))
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            archive.addfile(info)
    return target.getvalue()


def test_directories_may_be_there_more_than_once_and_with_something_in_them() -> None:
    data = with_directories(("./", "d/", "d/a", "d/", "d/e/", "d/e/f", "d-", "d.txt"))
    assert read(data) == {"d/a": b"", "d/e/f": b"", "d-": b"", "d.txt": b""}


def test_names_that_are_too_long_where_they_are_to_be_are_refused() -> None:
    data = zip_of({"/".join(["n" * 200] * 14): b"1"})
    check(io.BytesIO(data), len(data), LIMITS, ROOT)
    with pytest.raises(InvalidRequestError):
        check(io.BytesIO(data), len(data), LIMITS, RelativePath(("d" * 200, "e" * 200)))


def test_what_a_member_may_be_is_looked_at_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits hold to the byte, for what is told and for what there is."""
    monkeypatch.setattr(unpack, "_HARMLESS_BYTES", 1000)
    files = {"a": bytes(600), "b": bytes(400)}
    data = zip_of(files)
    assert read(data, UnpackLimits(3, 1000, 1)) == files
    for limits in (UnpackLimits(2, 1000, 1), UnpackLimits(3, 999, 1)):
        with pytest.raises(TooLargeError):
            read(data, limits)
    packed = zstandard.ZstdCompressor().compress(tar_of({"a": bytes(100_000)}))
    with pytest.raises(TooLargeError):
        read(packed, UnpackLimits(3, 1 << 30, 1000 // len(packed)))


@pytest.mark.parametrize(("kind", "own"), [("zip", 1), ("gz", 0)])
def test_directories_that_only_stand_in_names_count(kind: str, own: int) -> None:
    files = {"a/b/c/x": b"1", "a/b/c/y": b"2", "a/d/x": b"3", "a/d-": b"4"}
    data = MAKERS[kind](files)
    count = len(files) + len(("a", "a/b", "a/b/c", "a/d")) + own
    assert read(data, UnpackLimits(count, 1 << 20, 1000)) == files
    with pytest.raises(TooLargeError, match=f"more than {count - 1} files and directories"):
        read(data, UnpackLimits(count - 1, 1 << 20, 1000))


def test_directories_with_entries_of_their_own_count_once() -> None:
    data = with_directories(("d/e/f", "./", "d/", "d/e/", "g"))
    assert read(data, UnpackLimits(5, 1 << 20, 1000)) == {"d/e/f": b"", "g": b""}


def test_headers_count_for_how_well_an_archive_is_packed() -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for number in range(900):
            info = tarfile.TarInfo(str(number))
            info.pax_headers = {"comment": "x" * 60_000}
            archive.addfile(info)
    packed = zstandard.ZstdCompressor().compress(target.getvalue())
    with pytest.raises(TooLargeError, match="1000 times"):
        read(packed)


def test_the_end_of_a_zip_is_believed_when_it_says_too_much() -> None:
    data = bytearray(zip_of(FILES))
    at = data.rindex(b"PK\5\6")
    data[at + 8 : at + 12] = struct.pack("<HH", 1001, 1001)
    with pytest.raises(TooLargeError):
        read(bytes(data))
    data[at + 8 : at + 12] = struct.pack("<HH", 3, 3)
    with pytest.raises(InvalidRequestError, match="not as many entries"):
        read(bytes(data))


@pytest.mark.parametrize("kind", ["pax", "zip"])
def test_names_take_so_much_at_most(kind: str) -> None:
    """Of as many members as may be, each with a name as long as can be."""
    files = {f"{number:0200}/" + "/".join(["n" * 200] * 8): b"" for number in range(900)}
    with pytest.raises(TooLargeError, match="names"):
        read(MAKERS[kind](files))


@pytest.mark.parametrize("numbers", ["0,10,5,10", "10,5,0,5", "0,10", "0,5,90,11", "0,10,20", "0,10,20,x", "10,-5"])
def test_holes_that_make_no_sense(numbers: str) -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        info = tarfile.TarInfo("a")
        info.size = 20
        info.pax_headers = {"GNU.sparse.map": numbers, "GNU.sparse.size": "100"}
        archive.addfile(info, io.BytesIO(bytes(20)))
    with pytest.raises(InvalidRequestError):
        read(target.getvalue())


def with_large_memory(kind: str) -> bytes:
    """An archive that takes 128 MiB of memory to unpack, or says so."""
    size, data = 128 << 20, tar_of({"a": NOISE})
    if kind == "zst":
        how = zstandard.ZstdCompressionParameters(window_log=27)
        compressor = zstandard.ZstdCompressor(compression_params=how).compressobj()
        return compressor.compress(data) + compressor.flush()
    if kind == "xz":
        return lzma.compress(data, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": size}])
    made = bytearray(MAKERS["zip lzma"]({"a": NOISE}))
    at = made.index(b"\x09\x04\5\0")
    made[at + 5 : at + 9] = struct.pack("<I", size)
    return bytes(made)


@pytest.mark.parametrize("kind", ["zst", "xz", "zip lzma"])
def test_what_takes_too_much_memory_is_refused(kind: str) -> None:
    with pytest.raises(InvalidRequestError, match="unpacking it takes more than 67108864 bytes of memory"):
        read(with_large_memory(kind))

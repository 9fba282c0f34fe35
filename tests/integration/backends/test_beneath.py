"""Nothing a user writes or links leads out of a folder, with the kernel's resolution and with ours."""

from __future__ import annotations

import errno
import os
import threading
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backends.mounted.beneath import Beneath, open_root
from backends.mounted.helping.resolving import KernelResolver, Resolver, WalkingResolver, has_openat2
from domain.paths import RelativePath

RESOLVERS = [KernelResolver(), WalkingResolver()]


@pytest.fixture(params=RESOLVERS, ids=["kernel", "walking"])
def resolver(request: pytest.FixtureRequest) -> Resolver:
    return request.param


@pytest.fixture
def root(tmp_path: Path, resolver: Resolver):
    inside = tmp_path / "inside"
    (inside / "d/e").mkdir(parents=True)
    (inside / "f").write_text("inside")
    (inside / "d/g").write_text("deep")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    with open_root(inside, resolver) as beneath:
        yield beneath, inside


def read(beneath: Beneath, *parts: str) -> str:
    fd = beneath.resolver.open(beneath.fd, parts, os.O_RDONLY)
    with os.fdopen(fd) as file:
        return file.read()


def test_this_kernel_can_resolve_by_itself() -> None:
    assert has_openat2()


def test_names_inside_are_opened(root) -> None:
    beneath, _ = root
    assert read(beneath, "f") == "inside"
    assert read(beneath, "d", "g") == "deep"
    assert read(beneath, "d", "e", "..", "g") == "deep"


@pytest.mark.parametrize(
    ("link", "target"),
    [("a", "f"), ("b", "d/g"), ("d/c", "../f"), ("d/e/x", "../../d/./g"), ("y", "d/e/../../f"), ("z", "a2")],
)
def test_links_inside_are_followed(root, link: str, target: str) -> None:
    beneath, inside = root
    os.symlink("f", inside / "a2")
    os.symlink(target, inside / link)
    assert read(beneath, *link.split("/")) == (inside / link).read_text()


@pytest.mark.parametrize(
    "target",
    [
        "..",
        "../secret",
        "../outside/secret",
        "/etc/hostname",
        "/",
        "d/../../secret",
        "d/e/../../../secret",
        "../inside/f",
        "/proc/self/root/etc/hostname",
    ],
)
def test_links_that_lead_out_are_not_followed(root, target: str) -> None:
    beneath, inside = root
    for name in ("link", "d/link", "d/e/link"):
        depth = name.count("/")
        path = target if target.startswith("/") else "../" * depth + target
        os.symlink(path, inside / name)
        with pytest.raises(OSError) as caught:
            read(beneath, *name.split("/"))
        assert caught.value.errno in (errno.EXDEV, errno.ELOOP)
        with pytest.raises(OSError):
            read(beneath, *name.split("/"), "secret")


def test_dots_do_not_lead_out(root) -> None:
    beneath, _ = root
    for parts in (("..",), ("..", "secret"), ("d", "..", "..", "secret"), ("d", "e", "..", "..", "..", "secret")):
        with pytest.raises(OSError) as caught:
            read(beneath, *parts)
        assert caught.value.errno == errno.EXDEV


def test_circles_of_links_end(root) -> None:
    beneath, inside = root
    os.symlink("b", inside / "a")
    os.symlink("a", inside / "b")
    os.symlink("self/x", inside / "self")
    for name in ("a", "self"):
        with pytest.raises(OSError) as caught:
            read(beneath, name)
        assert caught.value.errno == errno.ELOOP


def test_links_of_the_proc_kind_are_not_followed(tmp_path: Path, resolver: Resolver) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with open_root("/proc/self", resolver) as beneath, pytest.raises(OSError) as caught:
            os.close(beneath.resolver.open(beneath.fd, ("fd", str(fd)), os.O_RDONLY))
        assert caught.value.errno in (errno.ELOOP, errno.EXDEV)
    finally:
        os.close(fd)


def test_a_plain_directory_is_reached_along_no_link(root) -> None:
    beneath, inside = root
    os.symlink("d", inside / "l")
    with beneath.below(("d", "e")):
        pass
    for parts in (("l",), ("l", "e")):
        with pytest.raises(OSError):
            beneath.below(parts)


def test_no_descriptor_is_left_open(root) -> None:
    beneath, inside = root
    os.symlink("/", inside / "out")
    os.symlink("d/g", inside / "in")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        read(beneath, "in")
        read(beneath, "d", "e", "..", "g")
        for parts in (("out",), ("nope", "x"), ("f", "x"), ("d", "..", "..")):
            with pytest.raises(OSError):
                read(beneath, *parts)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_name_that_changes_meanwhile_never_leads_out(tmp_path: Path, resolver: Resolver) -> None:
    inside = tmp_path / "inside"
    (inside / "real").mkdir(parents=True)
    (inside / "real/f").write_text("inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/f").write_text("secret")
    stop = threading.Event()

    def swap() -> None:
        os.symlink("../outside", inside / "link")
        while not stop.is_set():
            os.rename(inside / "real", inside / "x")
            os.rename(inside / "link", inside / "real")
            os.rename(inside / "real", inside / "link")
            os.rename(inside / "x", inside / "real")

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        with open_root(inside, resolver) as beneath:
            for number in count():
                try:
                    seen.add(read(beneath, "real", "f"))
                except OSError as error:
                    seen.add(errno.errorcode[error.errno or 0])
                if number >= 5000 and "inside" in seen:  # it is there for moments only
                    break
    finally:
        stop.set()
        thread.join()
    assert "secret" not in seen


NAMES = st.sampled_from(["a", "b", "c", "..", "."])
TREES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join),
        st.none() | st.lists(NAMES, min_size=1, max_size=5).map("/".join) | st.just("/etc"),
    ),
    max_size=8,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TREES, st.lists(NAMES, min_size=1, max_size=5))
def test_both_resolutions_agree(tmp_path_factory: pytest.TempPathFactory, tree, parts) -> None:
    base = tmp_path_factory.mktemp("tree") / "inside"
    base.mkdir()
    for name, target in tree:
        place = base / name
        try:
            if target is None:
                place.mkdir(parents=True, exist_ok=True)
            else:
                os.symlink(target, place)
        except OSError:
            continue
    found = []
    for resolver in RESOLVERS:
        with open_root(base, resolver) as beneath:
            try:
                fd = resolver.open(beneath.fd, parts, os.O_RDONLY)
            except OSError as error:
                found.append(errno.errorcode[error.errno or 0])
            else:
                found.append(os.fstat(fd).st_ino)
                os.close(fd)
    assert found[0] == found[1]


def test_paths_are_opened_from_the_root_down(root) -> None:
    beneath, _ = root
    with beneath.directory(RelativePath.parse("d/e")) as fd:
        assert os.fstat(fd).st_ino == os.stat(root[1] / "d/e").st_ino

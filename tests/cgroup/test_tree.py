"""Cgroup directories held by a descriptor: vanished ones, nested ones, refused operations."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from sentinel.cgroup.tree import Cgroup, is_read_only
from sentinel.model.errors import KernelFileError
from tests.cgroup.faketree import Tree


@pytest.fixture
def opened(fake: Tree, cgroups: type[Cgroup], request: pytest.FixtureRequest) -> Cgroup:
    """The open root of the fake."""
    request.getfixturevalue("no_leaks")
    return cgroups.open(str(fake.top))


def test_reading_and_writing_name_the_file(fake: Tree, opened: Cgroup) -> None:
    """Values go in and out; every refusal tells operation, path, value and errno."""
    fake.make("a")
    child = opened.child("a")
    assert child is not None
    child.write("memory.high", "4096")
    assert child.read("memory.high") == "4096\n"
    fake.refuse("write", "memory.max", errno.EINVAL)
    with pytest.raises(KernelFileError) as refusal:
        child.write("memory.max", "lots", remedy="use a number")
    error = refusal.value
    assert (error.op, error.path, error.value) == ("write", f"{fake.top}/a/memory.max", "lots")
    assert str(error) == (
        f"cannot write 'lots' to {fake.top}/a/memory.max: Invalid argument; use a number"
    )
    fake.refuse("read", "memory.stat", errno.EACCES)
    with pytest.raises(KernelFileError, match=r"^cannot read .*/a/memory\.stat: Permission denied"):
        child.read("memory.stat")
    child.close()
    opened.close()


def test_what_is_not_there_is_an_answer(opened: Cgroup) -> None:
    """A file that this kernel does not have, a child that nobody made."""
    assert opened.read("memory.nonsense") is None
    assert opened.counts("memory.nonsense") == {}
    assert not opened.has("memory.nonsense")
    assert opened.has("cgroup.procs")
    assert opened.child("nobody") is None
    assert opened.remove_child("nobody") == ""
    opened.close()


def test_a_cgroup_that_was_removed_is_gone_in_every_respect(fake: Tree, opened: Cgroup) -> None:
    """Its descriptor stays open; nothing raises; a new one of the same name is another one."""
    fake.make("a")
    gone = opened.child("a")
    assert gone is not None
    assert opened.remove_child("a") == ""
    fake.make("a", procs=(7,))
    assert gone.read("cgroup.procs") is None
    assert gone.pids() == []
    assert gone.all_pids() == []
    assert gone.child_names() == []
    assert gone.descendants() == []
    assert not gone.is_populated()
    gone.close()
    opened.close()


@pytest.mark.parametrize("device_gone", [errno.ENODEV, errno.ENOENT])
def test_a_cgroup_that_goes_while_it_is_read_is_gone_too(
    fake: Tree, opened: Cgroup, device_gone: int
) -> None:
    """ENODEV is what an open file of a removed cgroup says."""
    fake.make("a", procs=(7,))
    fake.refuse("read", "cgroup.procs", device_gone)
    assert opened.all_pids() == []
    opened.close()


def test_opening_what_is_no_directory() -> None:
    """The path and the reason."""
    with pytest.raises(KernelFileError, match=r"^cannot open /nowhere/x: No such file"):
        Cgroup.open("/nowhere/x")
    with pytest.raises(KernelFileError, match=r"^cannot open /etc/passwd: Not a directory"):
        Cgroup.open("/etc/passwd")


def test_making_a_child_twice(fake: Tree, opened: Cgroup) -> None:
    """The second one is told apart from an error."""
    first = opened.make_child("a")
    assert first is not None
    first.close()
    assert opened.make_child("a") is None
    fake.refuse("mkdir", "b", errno.EACCES)
    with pytest.raises(KernelFileError) as refusal:
        opened.make_child("b")
    assert (refusal.value.op, refusal.value.path) == ("mkdir", f"{fake.top}/b")
    opened.close()


def test_a_link_is_no_child(fake: Tree, opened: Cgroup, tmp_path: Path) -> None:
    """Nobody can lead us out of the tree."""
    (tmp_path / "elsewhere").mkdir()
    (fake.top / "link").symlink_to(tmp_path / "elsewhere")
    assert opened.child_names() == []
    with pytest.raises(KernelFileError, match="link: Not a directory"):
        opened.child("link")
    opened.close()


NESTED = {"a": (1,), "a/b": (2, 3), "a/b/c": (4,), "d": (5,), "d/\x1b[31m e": (6,)}


def test_members_of_nested_cgroups_are_found(fake: Tree, opened: Cgroup) -> None:
    """With names of any characters, and each process once."""
    for name, procs in NESTED.items():
        fake.make(name, procs=procs)
    assert sorted(opened.all_pids()) == [1, 2, 3, 4, 5, 6]
    assert sorted(opened.descendants()) == sorted(NESTED)
    assert sorted(opened.child_names()) == ["a", "d"]
    assert sorted(opened.child_names()) == ["a", "d"]
    opened.close()


def test_a_threaded_cgroup_inside_is_no_obstacle(fake: Tree, opened: Cgroup) -> None:
    """It cannot list processes (EOPNOTSUPP); the domain above it does."""
    fake.make("a", procs=(1, 2), kind="domain threaded")
    threaded = fake.make("a/t", kind="threaded")
    fake.make("a/t/deeper", procs=(3,))
    fake.refuse("read", "cgroup.procs", errno.EOPNOTSUPP, threaded)
    assert sorted(opened.all_pids()) == [1, 2, 3]
    opened.close()


def test_another_errno_is_an_error(fake: Tree, opened: Cgroup) -> None:
    """Unknown is not empty."""
    fake.make("a", procs=(1,))
    fake.refuse("read", "cgroup.procs", errno.EACCES)
    with pytest.raises(KernelFileError, match=r"/cgroup\.procs: Permission denied"):
        opened.all_pids()
    opened.close()


def test_a_cgroup_goes_with_everything_inside(fake: Tree, opened: Cgroup) -> None:
    """Deepest first; what is beside it stays."""
    for name in NESTED:
        fake.make(name)
    assert opened.remove_child("a") == ""
    assert sorted(opened.descendants()) == ["d", "d/\x1b[31m e"]
    opened.close()


def test_what_stands_in_the_way_of_removal_is_named(fake: Tree, opened: Cgroup) -> None:
    """A process deep inside keeps it all."""
    for name in NESTED:
        fake.make(name)
    fake.put(fake.top / "a/b/c", "cgroup.procs", "4\n")
    assert opened.remove_child("a") == f"{fake.top}/a: Device or resource busy"
    assert sorted(opened.descendants()) == sorted(NESTED)
    opened.close()


def test_what_vanishes_during_removal_is_gone(fake: Tree, opened: Cgroup) -> None:
    """Somebody else removed it between the look and the rmdir."""
    fake.make("a")
    fake.refuse("rmdir", "a", errno.ENODEV)
    assert opened.remove_child("a") == ""
    opened.close()


@pytest.mark.usefixtures("no_leaks")
def test_nesting_as_deep_as_the_kernel_allows_exhausts_nothing(tmp_path: Path) -> None:
    """A thousand levels cost neither a thousand descriptors nor the stack."""
    depth = 1500
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("n", dir_fd=fd)
        inner = os.open("n", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    top = Cgroup.open(str(tmp_path))
    assert len(top.descendants()) == depth
    assert top.all_pids() == []
    assert top.remove_child("n") == ""
    assert list(tmp_path.iterdir()) == []
    top.close()


@pytest.mark.usefixtures("no_leaks")
def test_deeper_than_a_path_can_say_is_no_error(tmp_path: Path) -> None:
    """It cannot be removed, and that is what is said; cgroup.kill reaches it all the same."""
    name = "n" * 250
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir(name, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    top = Cgroup.open(str(tmp_path))
    try:
        assert top.all_pids() == []
        assert top.remove_child(name) == f"{tmp_path}/{name}: Directory not empty"
    finally:
        top.close()
        subprocess.run(["rm", "-rf", tmp_path / name], check=True)


@pytest.mark.parametrize(("text", "populated"), [("populated 1\n", True), ("populated 0\n", False)])
def test_populated(fake: Tree, opened: Cgroup, text: str, *, populated: bool) -> None:
    """As cgroup.events says."""
    fake.put(fake.top, "cgroup.events", text + "frozen 0\n")
    assert opened.is_populated() is populated
    opened.close()


def test_a_real_refusal_names_what_was_tried(tmp_path: Path) -> None:
    """Of the file system itself, for reading as for making."""
    (tmp_path / "a").mkdir()
    opened = Cgroup.open(str(tmp_path))
    with pytest.raises(KernelFileError) as unread:
        opened.read("a")
    assert str(unread.value) == f"cannot read {tmp_path}/a: Is a directory"
    name = "n" * 256
    with pytest.raises(KernelFileError) as unmade:
        opened.make_child(name)
    assert str(unmade.value) == f"cannot mkdir {tmp_path}/{name}: File name too long"
    opened.close()


@pytest.mark.parametrize("size", [1, 2047, 2048, 1 << 16, 100_000])
def test_a_file_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    """Ten thousand pids are more than one read(2) brings."""
    (tmp_path / "cgroup.procs").write_text("7" * size)
    opened = Cgroup.open(str(tmp_path))
    assert opened.read("cgroup.procs") == "7" * size
    opened.close()


@pytest.mark.parametrize("flag", [0, os.ST_RDONLY])
def test_a_mount_that_cannot_be_written_to(flag: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As statvfs(3) says; whoever cannot be asked may be writable."""
    assert not is_read_only("/not/there")
    seen = os.statvfs("/")
    flags = (*seen[:8], seen.f_flag & ~os.ST_RDONLY | flag, *seen[9:])
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(flags))
    assert is_read_only("/") is bool(flag)

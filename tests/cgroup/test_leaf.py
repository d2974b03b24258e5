"""A run's leaf: its name and lock, its limits in their order, its removal."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sentinel.cgroup.leaf import Leaf, make_leaf
from sentinel.cgroup.tree import Cgroup
from sentinel.linux.locks import try_lock
from sentinel.model.errors import KernelFileError
from sentinel.model.spec import Limits
from tests.cgroup.faketree import Tree

MIB = 1 << 20
LIMITS = Limits(soft=64 * MIB, hard=96 * MIB)


@pytest.fixture
def parent(fake: Tree, cgroups: type[Cgroup]) -> Cgroup:
    """A cgroup with every controller enabled below it."""
    fake.make("p/other")
    return cgroups.open(str(fake.top / "p"))


@pytest.fixture
def leaf(parent: Cgroup) -> Leaf:
    """A fresh leaf."""
    return make_leaf(parent, "run")


@pytest.mark.parametrize(
    ("run", "stem"),
    [
        ("python3", "python3"),
        ("my run", "my_run"),
        ("a/../../b", "a_______b"),
        ("späße", "sp__e"),
        ("x\n\x1b[0m", "x___0m"),
        ("a.b-c_d+e", "a_b-c_d+e"),
        ("", ""),
        ("n" * 300, "n" * 100),
    ],
)
def test_the_name_is_the_runs_and_ours(parent: Cgroup, run: str, stem: str) -> None:
    """Whatever a run is called, its leaf is one plain directory that a sweep recognises."""
    leaf = make_leaf(parent, run)
    expected = f"sentinel-run-{stem}-{os.getpid()}"
    assert (leaf.name, leaf.cgroup.path) == (expected, f"{parent.path}/{expected}")
    assert expected in parent.child_names()


def test_two_leaves_of_one_name(parent: Cgroup) -> None:
    """The second one is numbered."""
    first, second = make_leaf(parent, "x"), make_leaf(parent, "x")
    assert second.name == f"{first.name}.1"


def test_a_leaf_is_locked_by_its_maker(parent: Cgroup, leaf: Leaf) -> None:
    """Nobody else gets the lock until it is closed."""
    other = parent.child(leaf.name)
    assert other is not None
    assert not try_lock(other.fd)
    leaf.close()
    assert try_lock(other.fd)
    other.close()


def test_a_leaf_that_a_sweep_locked_first_is_left_to_it(
    parent: Cgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between mkdir and lock another start's sweep may take it: the next name is tried."""
    taken: list[int] = []

    def snatching(fd: int) -> bool:
        if taken:
            return try_lock(fd)
        taken.append(os.open(os.readlink(f"/proc/self/fd/{fd}"), os.O_RDONLY))
        assert try_lock(taken[0])
        return try_lock(fd)

    monkeypatch.setattr("sentinel.cgroup.leaf.try_lock", snatching)
    leaf = make_leaf(parent, "x")
    assert leaf.name.endswith(f"-{os.getpid()}.1")
    os.close(taken[0])


def test_a_leaf_that_a_sweep_removed_before_the_lock_is_made_again(
    fake: Tree, parent: Cgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock on a directory that is no longer there guards nothing."""
    calls: list[int] = []

    def late(fd: int) -> bool:
        if not calls:
            fake.removed(os.readlink(f"/proc/self/fd/{fd}"), None)
        calls.append(fd)
        return try_lock(fd)

    monkeypatch.setattr("sentinel.cgroup.leaf.try_lock", late)
    leaf = make_leaf(parent, "x")
    assert leaf.name.endswith(f"-{os.getpid()}.1")
    assert parent.child_names().count(leaf.name) == 1
    assert len(calls) == 2


def test_a_crowd_of_dead_leaves_is_named(parent: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    """When every name is taken the refusal says which and what to do."""
    monkeypatch.setattr("sentinel.cgroup.leaf._ATTEMPTS", 3)
    for _ in range(3):
        make_leaf(parent, "x")
    with pytest.raises(KernelFileError) as refusal:
        make_leaf(parent, "x")
    assert str(refusal.value) == (
        f"cannot mkdir {parent.path}/sentinel-run-x-{os.getpid()}: File exists;"
        " remove dead leaves there"
    )


def test_limits_are_written_the_wire_last(fake: Tree, leaf: Leaf) -> None:
    """Every file has its value; nothing is reclaimed or counted before all stand."""
    limits = Limits(soft=64 * MIB, hard=96 * MIB, swap=8 * MIB, pids=100, cpus=1.5)
    assert leaf.limit(limits) == ()
    assert fake.log == [
        ("memory.oom.group", "1"),
        ("memory.swap.max", str(8 * MIB)),
        ("pids.max", "100"),
        ("cpu.max", "150000 100000"),
        ("memory.max", str(96 * MIB)),
        ("memory.high", str(64 * MIB)),
    ]


def test_without_a_wall_there_is_max(fake: Tree, leaf: Leaf) -> None:
    """`--hard-limit none`, and swap is 0 unless it was asked for."""
    leaf.limit(Limits(soft=MIB, hard=None))
    assert dict(fake.log)["memory.max"] == "max"
    assert dict(fake.log)["memory.swap.max"] == "0"
    assert "pids.max" not in dict(fake.log)


def test_what_this_kernel_does_not_have_is_told(fake: Tree, leaf: Leaf) -> None:
    """No swap accounting, no pids and cpu controllers: the options are named, memory holds."""
    place = Path(leaf.cgroup.path)
    for name in ("memory.swap.max", "pids.max", "cpu.max"):
        (place / name).unlink()
    assert leaf.limit(LIMITS._replace(pids=5, cpus=1)) == ("swap", "pids", "cpus")
    assert fake.get(place, "memory.high") == str(64 * MIB)


def test_a_kernel_without_cgroup_kill_is_refused(leaf: Leaf) -> None:
    """What could not be killed as a whole is not begun."""
    Path(leaf.cgroup.path, "cgroup.kill").unlink()
    with pytest.raises(KernelFileError) as refusal:
        leaf.limit(LIMITS)
    assert str(refusal.value) == (
        f"cannot open {leaf.cgroup.path}/cgroup.kill: No such file or directory;"
        " use Linux 5.14 or newer"
    )


@pytest.mark.parametrize("name", ["memory.oom.group", "memory.max", "memory.high"])
def test_memory_that_cannot_be_limited_is_an_error(fake: Tree, leaf: Leaf, name: str) -> None:
    """Never half a guard."""
    fake.refuse("write", name, errno.EACCES)
    with pytest.raises(KernelFileError, match=f"{name}: Permission denied"):
        leaf.limit(LIMITS)


def test_removal_takes_what_the_command_made(fake: Tree, parent: Cgroup, leaf: Leaf) -> None:
    """Nested cgroups go with the leaf."""
    fake.make(f"p/{leaf.name}/inner/most")
    assert leaf.remove() == ""
    assert leaf.name not in parent.child_names()
    leaf.close()


def test_a_survivor_keeps_the_leaf(fake: Tree, leaf: Leaf) -> None:
    """And the report says so."""
    fake.make(f"p/{leaf.name}/inner", procs=(9,))
    assert leaf.remove() == f"{leaf.cgroup.path}: Device or resource busy"

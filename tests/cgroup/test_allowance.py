"""What this process may use at most: the tightest of everything above it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sentinel.cgroup.allowance import Allowance, allowance
from sentinel.cgroup.placement import Host
from sentinel.cgroup.tree import Cgroup
from tests.cgroup.faketree import Tree

MIB = 1 << 20
MACHINE = Allowance(
    os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), "the machine's memory"
)


def host(tmp_path: Path, fake: Tree, path: str) -> Host:
    """A machine whose cgroup2 is `fake` and on which we are in `path`."""
    own = tmp_path / "proc" / "self"
    own.mkdir(parents=True)
    (own / "cgroup").write_text(f"0::{path}\n")
    (own / "mountinfo").write_text(f"30 22 0:26 / {fake.top} rw - cgroup2 cgroup2 rw\n")
    return Host(proc=str(tmp_path / "proc"), run=str(tmp_path))


@pytest.mark.usefixtures("no_leaks")
def test_without_limits_it_is_the_machine(tmp_path: Path, fake: Tree) -> None:
    """MemTotal, by name."""
    fake.make("a/b")
    assert allowance(host(tmp_path, fake, "/a/b")) == MACHINE


def test_without_cgroups_it_is_the_machine(tmp_path: Path) -> None:
    """Pure v1: nothing to read."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text("4:memory:/a\n")
    assert allowance(Host(proc=str(tmp_path), run=str(tmp_path))) == MACHINE


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"a/b": ("memory.max", 100)}, ("a/b", "memory.max", 100)),
        ({"a": ("memory.max", 100)}, ("a", "memory.max", 100)),
        ({"a": ("memory.high", 90), "a/b": ("memory.max", 100)}, ("a", "memory.high", 90)),
        ({"a": ("memory.max", 100), "a/b": ("memory.high", 90)}, ("a/b", "memory.high", 90)),
        ({"a/b": ("memory.max", 1 << 40)}, None),
    ],
)
def test_the_tightest_limit_counts(
    tmp_path: Path,
    fake: Tree,
    limits: dict[str, tuple[str, int]],
    expected: tuple[str, str, int] | None,
) -> None:
    """Wherever it stands above us, wall or brake; a limit beyond the machine is none."""
    fake.make("a/b/c")
    for cgroup, (name, size) in limits.items():
        fake.put(fake.top / cgroup, name, f"{size * MIB}\n")
    found = allowance(host(tmp_path, fake, "/a/b/c"))
    if expected is None:
        assert found == MACHINE
    else:
        cgroup, name, size = expected
        assert found == Allowance(size * MIB, f"{fake.top}/{cgroup}/{name}")


def test_a_limit_counts_above_cgroups_without_the_controller(tmp_path: Path, fake: Tree) -> None:
    """A session scope has no memory files of its own; its slice's limit holds it all the same."""
    fake.make("slice/scope")
    for file in (fake.top / "slice" / "scope").glob("memory.*"):
        file.unlink()
    fake.put(fake.top / "slice", "memory.max", f"{100 * MIB}\n")
    found = allowance(host(tmp_path, fake, "/slice/scope"))
    assert found == Allowance(100 * MIB, f"{fake.top}/slice/memory.max")


def test_what_cannot_be_read_is_passed_over(
    tmp_path: Path, fake: Tree, cgroups: type[Cgroup], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unreadable limit is unknown, not none and not 0: the readable ones decide."""
    monkeypatch.setattr("sentinel.cgroup.allowance.Cgroup", cgroups)
    fake.make("a/b")
    fake.put(fake.top / "a", "memory.max", f"{100 * MIB}\n")
    fake.refuse("read", "memory.max", errno.EACCES, fake.top / "a/b")
    found = allowance(host(tmp_path, fake, "/a/b"))
    assert found == Allowance(100 * MIB, f"{fake.top}/a/memory.max")


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("text", ["", "nonsense\n"], ids=["empty", "nonsense"])
def test_a_masked_limit_is_passed_over(tmp_path: Path, fake: Tree, text: str) -> None:
    """A file behind which an engine has put /dev/null says nothing; the others decide."""
    fake.make("a/b")
    fake.put(fake.top / "a", "memory.max", f"{100 * MIB}\n")
    fake.put(fake.top / "a/b", "memory.max", text)
    found = allowance(host(tmp_path, fake, "/a/b"))
    assert found == Allowance(100 * MIB, f"{fake.top}/a/memory.max")

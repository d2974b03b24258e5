"""Readings of a cgroup's memory on a fake leaf: what is read, what it adds up to."""

from __future__ import annotations

from pathlib import Path

import pytest

from sentinel.cgroup.gauge import Gauge
from sentinel.cgroup.tree import Cgroup
from sentinel.model.spec import Limits
from tests.cgroup.faketree import Tree

MIB = 1 << 20
LIMITS = Limits(soft=64 * MIB, hard=96 * MIB)
SMALL = Limits(soft=0, hard=None)
"""Any reading is near this limit, so that everything is read."""


@pytest.fixture
def leaf(fake: Tree) -> Path:
    """A leaf that holds nothing."""
    return fake.make("p/leaf")


@pytest.fixture
def opened(leaf: Path, cgroups: type[Cgroup]) -> Cgroup:
    """The same, open."""
    return cgroups.open(str(leaf))


def hold(fake: Tree, leaf: Path, current: int, **parts: int) -> None:
    """Let the leaf hold `current` MiB, and its statistics say so many MiB of each part."""
    stat = "".join(f"{name} {size * MIB}\n" for name, size in parts.items())
    fake.put(leaf, "memory.current", f"{current * MIB}\n")
    fake.put(leaf, "memory.stat", stat)


@pytest.mark.parametrize(
    ("limits", "read"),
    [
        (LIMITS, ["cpu.stat", "memory.current", "memory.stat"]),
        (
            LIMITS._replace(swap=MIB),
            ["cpu.stat", "memory.current", "memory.stat", "memory.swap.current"],
        ),
        (SMALL, ["cpu.stat", "memory.current", "memory.stat", "cgroup.threads"]),
    ],
    ids=["far", "with swap", "near"],
)
def test_only_what_is_needed_is_read(
    leaf: Path, cgroups: type[Cgroup], limits: Limits, read: list[str]
) -> None:
    """cpu.stat first, which brings memory.stat up to date; the rest where it can matter."""
    order: list[str] = []

    class Noting(cgroups):  # type: ignore[valid-type, misc]
        """Notes what is read."""

        def read(self, name: str) -> str | None:
            order.append(name)
            text: str | None = super().read(name)
            return text

    Gauge(Noting.open(str(leaf)), limits).read(1.0)
    assert order == read


@pytest.mark.parametrize(("threads", "tasks"), [("7\n", 1), ("7\n8\n9\n", 3), ("", None)])
def test_tasks_in_cgroups_inside_are_unknown(
    fake: Tree, leaf: Path, opened: Cgroup, threads: str, tasks: int | None
) -> None:
    """A nested run moves everything into cgroups inside: unknown is not one."""
    fake.put(leaf, "cgroup.threads", threads)
    reading = Gauge(opened, SMALL).read(1.0)
    assert reading is not None
    assert reading.tasks == tasks


@pytest.mark.parametrize(("held", "tasks"), [(57, None), (58, 2)])
def test_tasks_are_counted_from_nine_tenths_of_the_limit_on(
    fake: Tree, leaf: Path, opened: Cgroup, held: int, tasks: int | None
) -> None:
    """A reading of a streaming command costs as little as can be: unknown, not 0."""
    fake.put(leaf, "cgroup.threads", "7\n8\n")
    hold(fake, leaf, held, anon=held, active_anon=held)
    reading = Gauge(opened, LIMITS).read(1.0)
    assert reading is not None
    assert reading.tasks == tasks


def test_what_is_firm_is_counted_by_kind(fake: Tree, leaf: Path, opened: Cgroup) -> None:
    """Anonymous, shared, kernel and socket memory, less the slab that can go."""
    gauge = Gauge(opened, LIMITS)
    hold(fake, leaf, 40, anon=10, shmem=5, file=20, kernel=4, slab_reclaimable=3, sock=2)
    assert gauge.read(1.0) is not None
    assert gauge.firm == (10 + 5 + 4 - 3 + 2) * MIB


@pytest.mark.parametrize(("swap", "swapped"), [(0, 0), (MIB, 7 * MIB)])
def test_swap_is_read_where_it_is_allowed(
    fake: Tree, leaf: Path, opened: Cgroup, swap: int, swapped: int
) -> None:
    """What is in memory as well (swapcached) is counted there."""
    hold(fake, leaf, 10, anon=10, active_anon=10, swapcached=2)
    fake.put(leaf, "memory.swap.current", f"{9 * MIB}\n")
    gauge = Gauge(opened, LIMITS._replace(swap=swap))
    reading = gauge.read(1.0)
    assert reading is not None
    assert (gauge.swap, reading.working_set) == (swapped, 10 * MIB + swapped)


def test_the_largest_working_set_is_kept(fake: Tree, leaf: Path, opened: Cgroup) -> None:
    """With the last reading, which may be smaller."""
    gauge = Gauge(opened, LIMITS)
    for held in (10, 30, 20):
        hold(fake, leaf, held, anon=held, active_anon=held)
        gauge.read(float(held))
    assert gauge.largest_working_set == 30 * MIB
    assert gauge.last is not None
    assert (gauge.last.at, gauge.last.working_set) == (20.0, 20 * MIB)


def test_what_is_gone_reads_nothing(leaf: Path, opened: Cgroup) -> None:
    """None, not zeros."""
    gauge = Gauge(opened, SMALL)
    (leaf / "memory.stat").unlink()
    assert gauge.read(1.0) is None
    assert (gauge.largest_working_set, gauge.last) == (None, None)

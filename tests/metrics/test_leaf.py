"""A leaf's files as metrics, on text that kernels wrote."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sentinel.metrics import leaf, leaffiles
from sentinel.metrics.catalogue import Histogram, Values
from sentinel.metrics.detector import Point
from sentinel.model.errors import KernelFileError
from tests.metrics.trees import LEAF, MIB, STAT, make_cgroup

COUNTERS: Values = {
    "sentinel_memory_peak_bytes": {(): 64 * MIB},
    "sentinel_memory_events_total": {
        ("low",): 0,
        ("high",): 7,
        ("max",): 2,
        ("oom",): 1,
        ("oom_kill",): 1,
        ("oom_group_kill",): 1,
    },
    "sentinel_memory_pgfault_total": {(): 20480},
    "sentinel_memory_pgmajfault_total": {(): 12},
    "sentinel_memory_workingset_refault_total": {("anon",): 3, ("file",): 70},
    "sentinel_pressure_seconds_total": {
        ("memory", "some"): 2.5,
        ("memory", "full"): 0.5,
        ("cpu", "some"): 0.001,
        ("io", "some"): 0.0,
        ("io", "full"): 0.0,
    },
    "sentinel_cpu_seconds_total": {("user",): 1.2, ("system",): 0.3},
    "sentinel_io_bytes_total": {("read",): 5096, ("write",): 8192},
}


def test_what_is_counted_is_read_from_its_file() -> None:
    """Every counter and the peak, in base units; keys that the table does not know stay out."""
    assert leaf.counters(LEAF) == COUNTERS


def test_what_holds_now_is_split_into_parts_that_sum_to_current() -> None:
    """The composition is a partition of memory.current."""
    values = leaf.gauges(LEAF)
    parts = values["sentinel_memory_composition_bytes"]
    assert parts == {
        ("anon",): 40 * MIB,
        ("file",): 8 * MIB,
        ("shmem",): 4 * MIB,
        ("kernel",): 2 * MIB,
        ("sock",): 131072,
        ("other",): 6 * MIB - 131072,
    }
    assert sum(size for size in parts.values() if not isinstance(size, Histogram)) == 60 * MIB
    assert values["sentinel_memory_current_bytes"] == {(): 60 * MIB}
    assert values["sentinel_memory_anon_bytes"] == {(): 40 * MIB}
    # anonymous lists and kernel memory, less the slab that can be reclaimed
    used = 46137344 + 2 * MIB - 524288 + 131072
    assert values["sentinel_memory_working_set_bytes"] == {(): used}
    assert values["sentinel_memory_swap_current_bytes"] == {(): 0}
    assert values["sentinel_tasks"] == {(): 5}


@pytest.mark.parametrize("name", sorted(LEAF))
def test_a_file_that_a_kernel_lacks_costs_its_own_rows(name: str) -> None:
    """Without one file everything else is told, and nothing of it becomes 0."""
    texts = {other: text for other, text in LEAF.items() if other != name}
    values = {**leaf.counters(texts), **leaf.gauges(texts)}
    whole = {**leaf.counters(LEAF), **leaf.gauges(LEAF)}
    for row, of in values.items():
        assert of.items() <= whole[row].items()


def test_nothing_is_made_of_nothing() -> None:
    """Empty files tell nothing."""
    assert leaf.counters({}) == {}
    assert leaf.gauges({}) == {}
    assert leaf.point({}, 1.0) is None


@pytest.mark.parametrize(
    "text", ["", "garbage", "anon\n", "anon x\nfile -1\n", "\0\0", "anon 1 2\n"]
)
def test_text_of_another_shape_raises_nothing(text: str) -> None:
    """What a later kernel writes is at worst unknown."""
    texts = dict.fromkeys(LEAF, text)
    leaf.counters(texts)
    leaf.gauges(texts)


def test_a_sample_has_the_parts_that_the_detector_judges() -> None:
    """File with shmem, kernel with sockets."""
    sample = Point(3.0, 40 * MIB, 40 * MIB, 12 * MIB, 2 * MIB + 131072)
    assert leaf.point(LEAF, 3.0) == sample


def test_a_leaf_is_read_through_its_directory(tmp_path: Path) -> None:
    """The files asked for, as they are; those that are missing are left out."""
    path = make_cgroup(tmp_path / "leaf", memory_peak=None)
    texts = leaffiles.read_leaf(str(path), ("memory.stat", "memory.peak"))
    assert texts == {"memory.stat": STAT}


def test_a_leaf_that_is_gone_is_none(tmp_path: Path) -> None:
    """Vanished is an answer."""
    assert leaffiles.read_leaf(str(tmp_path / "gone"), ("memory.stat",)) is None
    assert leaf.processes(str(tmp_path / "gone")) == []
    assert leaf.cgroup_ids(str(tmp_path / "gone")) == []


def test_a_leaf_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    """The error names the file: a directory in its place stands for one that refuses."""
    path = make_cgroup(tmp_path / "leaf", memory_stat=None)
    os.mkdir(path / "memory.stat")
    with pytest.raises(KernelFileError, match=r"cannot read .*/leaf/memory\.stat: Is a directory"):
        leaffiles.read_leaf(str(path), ("memory.stat",))


def test_the_effective_limit_is_the_tightest_on_the_way_up(tmp_path: Path) -> None:
    """Own memory.max, and memory.max or memory.high of everybody above."""
    top = make_cgroup(tmp_path / "top", memory_max="max\n", memory_high=f"{90 * MIB}\n")
    middle = make_cgroup(top / "middle", memory_max=f"{100 * MIB}\n")
    path = make_cgroup(middle / "leaf", memory_high="1\n")
    known: dict[str, int | None] = {}
    texts = leaffiles.read_leaf(str(path), leaf.PRESENT) or {}
    values = leaf.leaf_values(str(path), texts, known)
    assert values["sentinel_memory_effective_limit_bytes"] == {(): 90 * MIB}
    assert known[str(middle)] == 90 * MIB
    assert values["sentinel_processes"] == {(): 3}


def test_a_limit_of_max_is_left_out(tmp_path: Path) -> None:
    """Not limited is not a number."""
    path = make_cgroup(tmp_path / "leaf", memory_max="max\n")
    texts = leaffiles.read_leaf(str(path), leaf.PRESENT) or {}
    assert "sentinel_memory_effective_limit_bytes" not in leaf.leaf_values(str(path), texts, {})


def test_threads_are_counted_where_the_pids_controller_is_off(tmp_path: Path) -> None:
    """Those of cgroups below it included."""
    path = make_cgroup(tmp_path / "leaf", pids_current=None, cgroup_threads="101\n102\n103\n")
    make_cgroup(path / "main", pids_current=None, cgroup_threads="7\n")
    texts = leaffiles.read_leaf(str(path), leaf.PRESENT) or {}
    assert leaf.leaf_values(str(path), texts, {})["sentinel_tasks"] == {(): 4}


def test_processes_below_the_leaf_are_its_own(tmp_path: Path) -> None:
    """A nested run's leaf lies in it; its sockets carry the inner cgroup's number."""
    path = make_cgroup(tmp_path / "leaf")
    inner = make_cgroup(path / "main", cgroup_procs="7\n")
    assert sorted(leaf.processes(str(path))) == [0, 7, 101, 102]
    assert leaf.cgroup_ids(str(path)) == [path.stat().st_ino, inner.stat().st_ino]

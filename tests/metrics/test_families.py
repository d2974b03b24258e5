"""Families in one pass over /proc, on a mock-up."""

from __future__ import annotations

import os
from pathlib import Path

from sentinel.metrics.detector import Point
from sentinel.metrics.families import (
    EXPORTER,
    families,
    family_values,
    open_descriptors,
    take_census,
)
from tests.metrics.trees import make_process

PAGE = os.sysconf("SC_PAGE_SIZE")


def test_a_family_is_everybody_below_the_guard(tmp_path: Path) -> None:
    """Children, theirs, and orphans that fell to the guard; not the guard, not its neighbours."""
    make_process(tmp_path, 1, 0)
    make_process(tmp_path, 10, 1)
    make_process(tmp_path, 11, 10)
    make_process(tmp_path, 12, 11)
    make_process(tmp_path, 13, 10, b"orphan")
    make_process(tmp_path, 20, 1)
    make_process(tmp_path, 21, 20)
    (tmp_path / "self").mkdir()
    found = families(take_census(str(tmp_path)), [10, 20, 99])
    assert {guard: sorted(family) for guard, family in found.items()} == {
        10: [11, 12, 13],
        20: [21],
        99: [],
    }


def test_an_exporter_that_the_guard_started_is_no_family(tmp_path: Path) -> None:
    """It is the guard's child; one further down is the command's own business."""
    make_process(tmp_path, 10, 1)
    make_process(tmp_path, 11, 10)
    make_process(tmp_path, 12, 10, EXPORTER.encode())
    make_process(tmp_path, 13, 11, EXPORTER.encode())
    assert sorted(families(take_census(str(tmp_path)), [10])[10]) == [11, 13]


def test_zombies_and_odd_names_are_taken_for_what_they_are(tmp_path: Path) -> None:
    """A zombie holds nothing; a name may hold spaces, parentheses and bytes that are no UTF-8."""
    make_process(tmp_path, 11, 10, b"x) S 1 (\xff\n")
    make_process(tmp_path, 12, 10, state="Z")
    (tmp_path / "13").mkdir()
    (tmp_path / "14").mkdir()
    (tmp_path / "14" / "stat").write_bytes(b"14 (cut")
    census = take_census(str(tmp_path))
    assert sorted(census) == [11]
    assert census[11].parent == 10


def test_sizes_are_summed(tmp_path: Path) -> None:
    """Current is resident memory, anon is what is not shared; those who vanish count no more."""
    make_process(tmp_path, 11, 10, resident=100, shared=40, threads=3)
    make_process(tmp_path, 12, 10, resident=50, shared=10)
    make_process(tmp_path, 13, 10)
    census = take_census(str(tmp_path))
    (tmp_path / "13" / "statm").unlink()
    values, sample = family_values(census, [11, 12, 13], 5.0, str(tmp_path))
    assert values == {
        "sentinel_memory_current_bytes": {(): 150 * PAGE},
        "sentinel_memory_anon_bytes": {(): 100 * PAGE},
        "sentinel_tasks": {(): 5},
        "sentinel_processes": {(): 2},
    }
    assert sample == Point(5.0, 100 * PAGE, 100 * PAGE, 50 * PAGE)


def test_a_family_that_is_gone_has_no_size(tmp_path: Path) -> None:
    """Nothing is not 0 bytes."""
    assert family_values({}, [], 5.0, str(tmp_path)) == ({}, None)


def test_descriptors_are_counted_where_they_may_be(tmp_path: Path) -> None:
    """All processes that can be looked at; None when none can."""
    make_process(tmp_path, 11, 10, fds=4)
    make_process(tmp_path, 12, 10, fds=0)
    assert open_descriptors([11, 12, 13], str(tmp_path)) == 4
    assert open_descriptors([13], str(tmp_path)) is None
    assert open_descriptors([], str(tmp_path)) is None

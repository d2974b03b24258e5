"""The processes of a run: the largest first, below their parents, a few looks at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sentinel.control.tree import MOST, STEP, survey, tree_json, tree_text
from sentinel.linux.census import Resident

MIB = 1 << 20


def process(pid: int, parent: int = 0, mib: int = 1, name: str = "job") -> Resident:
    """A sleeping process."""
    return Resident(pid, parent, name, "S", mib * MIB, 1)


def surveyed(pids: Sequence[int], known: dict[int, Resident]) -> tuple[list[Resident], int, int]:
    """What a survey finds, how many it leaves out, and how often it paused."""
    work = survey(pids, known.get)
    pauses = 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            found, omitted = end.value
            return found, omitted, pauses
        pauses += 1


def test_the_largest_come_first_and_the_vanished_not_at_all() -> None:
    """Equals by their numbers."""
    known = {pid: process(pid, mib=mib) for pid, mib in ((1, 5), (2, 9), (4, 5))}
    found, omitted, _ = surveyed([1, 2, 3, 4], known)
    assert [one.pid for one in found] == [2, 1, 4]
    assert omitted == 0


def test_at_most_two_hundred_are_told_and_the_rest_is_counted() -> None:
    """Whatever their order: they are the largest."""
    for count in (MOST, MOST + 1, 5 * MOST + 3):
        known = {pid: process(pid, mib=pid) for pid in range(1, count + 1)}
        found, omitted, _ = surveyed(list(known), known)
        assert [one.pid for one in found] == list(range(count, count - MOST, -1))
        assert omitted == count - MOST


def test_it_pauses_after_every_few_looks() -> None:
    """So that a thousand processes hold up nobody."""
    known = {pid: process(pid) for pid in range(1, 1001)}
    assert surveyed(list(known), known)[2] == 1000 // STEP


def test_the_text_shows_who_is_below_whom() -> None:
    """Siblings in the order of their size; a parent outside the run is none."""
    found = [
        process(10, 1, 50, "sh"),
        process(12, 10, 30, "big\n"),
        process(11, 10, 20, "small"),
        process(13, 12, 5, "leaf"),
        process(14, 99, 1, "orphan"),
    ]
    assert tree_text(found, 2).splitlines() == [
        "     rss      pid state threads name",
        "     50M       10 S           1 sh",
        "     30M       12 S           1   big\\n",
        "      5M       13 S           1     leaf",
        "     20M       11 S           1   small",
        "      1M       14 S           1 orphan",
        "and 2 more",
    ]


def test_numbers_given_anew_make_no_endless_tree() -> None:
    """Two that were each other's parent at different moments are counted, not followed."""
    found = [process(1, 2), process(2, 1), process(3, 3), process(4, 0)]
    assert tree_text(found, 0).splitlines()[1:] == [
        "      1M        4 S           1 job",
        "and 3 more",
    ]


def test_the_document_has_a_row_for_each() -> None:
    """With the same names as everywhere."""
    assert json.loads(tree_json("worker", [process(7, 1, 2, "a\udcff")], 3)) == {
        "schema": 1,
        "name": "worker",
        "processes": [
            {"pid": 7, "parent": 1, "name": "a\udcff", "state": "S", "rss": 2 * MIB, "threads": 1}
        ],
        "omitted": 3,
    }

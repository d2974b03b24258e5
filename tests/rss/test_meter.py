"""Tally and survey: what a family holds, on made-up numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sentinel.linux.kinship import Identity
from sentinel.rss.family import Member
from sentinel.rss.meter import SLICE, SWAP_EVERY, Surveyor, Tallier, share
from sentinel.rss.procfs import Proc, Rollup
from sentinel.rss.readings import Survey, Tally
from tests.rss.mockup import MIB, MockProc

pytestmark = pytest.mark.pure


@pytest.fixture
def mock(tmp_path: Path) -> MockProc:
    """An empty /proc."""
    return MockProc(tmp_path)


def member(pid: int, parent: int = 1) -> Member:
    """A process of the mock-up."""
    return Member(Identity(pid, 100), parent)


def ticking(step: float) -> Iterator[float]:
    """A clock that goes on by `step` seconds each time that it is asked."""
    now = 0.0
    while True:
        yield now
        now += step


def surveyed(mock: MockProc, members: list[Member], step: float = 0.0001) -> Survey:
    """A whole survey of `members`."""
    now = Tallier(mock.proc).tally(members, 5.0)
    surveyor = Surveyor(mock.proc, members, now, ticking(step).__next__)
    while (found := surveyor.advance()) is None:
        pass
    return found


def test_tally_sums(mock: MockProc) -> None:
    """A tally is the sum of all resident pages, file and shmem apart."""
    for pid, anon, shared in ((10, 30, 4), (11, 5, 1)):
        mock.process(pid)
        mock.memory(pid, 100, anon, shared)
    seen = Tallier(mock.proc).tally([member(10), member(11)], 5.0)
    assert seen == Tally(5.0, 35 * MIB, 5 * MIB, 0, 0, 2)
    assert seen.resident == 40 * MIB


def test_growth_is_of_those_known(mock: MockProc) -> None:
    """Growth is what known processes gained: not what newcomers bring, nor what others lost."""
    mock.process(10)
    mock.process(11)
    mock.memory(10, 100, 30, 0)
    mock.memory(11, 100, 30, 0)
    tallier = Tallier(mock.proc)
    assert tallier.tally([member(10), member(11)], 0).grown == 0
    mock.memory(10, 100, 35, 2)
    mock.memory(11, 100, 10, 0)
    mock.process(12)
    mock.memory(12, 100, 500, 0)
    assert tallier.tally([member(10), member(11), member(12)], 1).grown == 7 * MIB


def test_the_dead_are_marked(mock: MockProc) -> None:
    """A process that is gone, a zombie or another one by now is no part of the sum."""
    members = [member(10), member(11), member(12), member(13)]
    for pid in (11, 12, 13):
        mock.process(pid)
        mock.memory(pid, 100, 30, 0)
    mock.process(11, state="Z")
    mock.memory(11, 0, 0, 0)
    mock.process(12, start=101)
    mock.memory(12, 0, 0, 0)
    assert Tallier(mock.proc).tally(members, 0).anon == 30 * MIB
    assert [kin.ended for kin in members] == [True, True, True, False]


def test_another_thread_is_read(mock: MockProc) -> None:
    """When the first thread has ended, the memory is read through one that lives."""
    mock.process(10, state="Z")
    mock.memory(10, 0, 0, 0)
    mock.thread(10, 15)
    mock.process(15)
    mock.memory(15, 100, 30, 0)
    kin = member(10)
    assert Tallier(mock.proc).tally([kin], 0).anon == 30 * MIB
    assert (kin.ended, kin.reads) == (False, 15)


def test_swap_is_asked_for_once_a_second(mock: MockProc) -> None:
    """Swapped pages count, and are asked for rarely, and only where there is swap."""
    mock.process(10)
    mock.memory(10, 100, 30, 0)
    tallier = Tallier(mock.proc)
    assert tallier.tally([member(10)], 0).swap == 0
    mock.swap(p10=50)
    assert tallier.tally([member(10)], SWAP_EVERY - 0.01).swap == 0
    assert tallier.tally([member(10)], SWAP_EVERY).swap == 50 * MIB


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"anon": 10, "file": 90, "shmem": 5}, {"anon": 10, "file": 90, "shmem": 5, "pinned": 0}),
        ({"anon": 10, "lazy_free": 4}, {"lazy_free": 4}),
        ({"anon": 10, "lazy_free": 40}, {"lazy_free": 10}),
        # an mlocked key: nothing of the file part is pinned
        ({"anon": 10, "file": 90, "locked": 8}, {"pinned": 0}),
        # an mlocked file of 60
        ({"anon": 10, "file": 90, "locked": 60}, {"pinned": 50}),
        # mlockall
        ({"anon": 10, "file": 90, "shmem": 5, "locked": 105}, {"pinned": 90}),
        ({"anon": 10, "swap": 7}, {"swap": 7}),
    ],
)
def test_share(parts: dict[str, int], expected: dict[str, int]) -> None:
    """What a process is charged with, and what of it could be reclaimed."""
    sizes = {"anon": 0, "file": 0, "shmem": 0, "lazy_free": 0, "locked": 0, "swap": 0, **parts}
    pss = sizes["anon"] + sizes["file"] + sizes["shmem"]
    charged = share(Rollup(rss=pss, pss=pss, **sizes))
    assert {name: getattr(charged, name) for name in expected} == expected
    assert charged.pss == pss


def test_share_before_linux_5_3() -> None:
    """Where the parts are not told, everything is taken for anonymous."""
    charged = share(Rollup(100, 70, None, None, None, 5, 0, 3))
    assert (charged.pss, charged.anon, charged.lazy_free, charged.swap) == (70, 70, 0, 3)


def test_survey_sums(mock: MockProc) -> None:
    """A survey is the sum of proportional shares, as of its tally."""
    for pid in (10, 11):
        mock.process(pid)
        mock.memory(pid, 100 + pid, 200, 10)
        mock.rollup(pid, Rss=210, Pss=105, Pss_Anon=100, Pss_File=4, Pss_Shmem=1, SwapPss=2)
    found = surveyed(mock, [member(10), member(11)])
    assert found.tally.resident == 420 * MIB
    parts = (found.pss, found.anon, found.file, found.shmem, found.swap, found.doubt)
    assert parts == (210 * MIB, 200 * MIB, 8 * MIB, 2 * MIB, 4 * MIB, 0)


def test_unreadable_pss(mock: MockProc) -> None:
    """A process whose PSS is closed to us counts with its RSS less the shared part."""
    mock.process(1)
    mock.anon(10, 50)
    mock.process(10)
    mock.process(11)
    mock.memory(11, 100, 40, 30)
    mock.rollup(os.getpid())
    found = surveyed(mock, [member(10), member(11)])
    assert (found.anon, found.file, found.pss) == (90 * MIB, 0, 90 * MIB)


def test_kernel_without_rollup(mock: MockProc, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no process has a roll-up, psutil adds up the long file."""

    class Process:
        def __init__(self, pid: int) -> None:
            self.pid = pid

        def memory_full_info(self) -> Rollup:
            if self.pid == 11:
                raise psutil.AccessDenied(self.pid)
            return Rollup(60 * MIB, 25 * MIB, None, None, None, 0, 0, 3 * MIB)

    monkeypatch.setattr(psutil, "Process", Process)
    for pid in (10, 11):
        mock.process(pid)
        mock.memory(pid, 100 + pid, 40, 20)
    found = surveyed(mock, [member(10), member(11)])
    assert (found.pss, found.swap) == (65 * MIB, 3 * MIB)


def test_vfork_is_charged_once(mock: MockProc) -> None:
    """A child that still runs in its parent's memory, while that waits for it, is left out."""
    mock.process(10, state="D")
    mock.thread(10, 10, "D")
    mock.anon(10, 150)
    mock.process(11)
    mock.anon(11, 150)
    assert surveyed(mock, [member(10), member(11, parent=10)]).anon == 150 * MIB


def test_forked_twin_is_charged(mock: MockProc) -> None:
    """A worker of its parent's size is charged, as nobody waits for it."""
    mock.process(10)
    mock.process(11)
    mock.anon(10, 150)
    mock.anon(11, 150)
    assert surveyed(mock, [member(10), member(11, parent=10)]).anon == 300 * MIB


def test_one_child_for_each_waiting_thread(mock: MockProc) -> None:
    """A parent of which one thread waits has one child in its memory; the other is a worker."""
    mock.process(10, state="D")
    for pid in (10, 11, 12):
        mock.process(pid, state="D" if pid == 10 else "S")
        mock.anon(pid, 100)
    family = [member(10), member(11, parent=10), member(12, parent=10)]
    assert surveyed(mock, family).anon == 200 * MIB


class ShrinkingProc(Proc):
    """A /proc in which 10 ends, and 11 lets go of 30 MiB, when both were read and 12 is."""

    def rollup(self, pid: int) -> Rollup | None:
        """Read, then act."""
        found = super().rollup(pid)
        if pid == 12:
            MockProc(Path(self.root)).gone(10)
            MockProc(Path(self.root)).anon(11, 70)
        return found


def test_release_while_reading_is_doubt(mock: MockProc) -> None:
    """What a process let go of after it was read may have fallen to others: that is in doubt."""
    for pid in (10, 11, 12):
        mock.process(pid)
        mock.anon(pid, 100)
    mock.proc = ShrinkingProc(str(mock.root))
    found = surveyed(mock, [member(10), member(11), member(12)])
    assert (found.anon, found.doubt) == (300 * MIB, 130 * MIB)


def test_one_process_is_never_in_doubt(mock: MockProc) -> None:
    """A process that shares with nobody of the family cannot be charged twice."""
    mock.process(10)
    mock.anon(10, 100)
    mock.memory(10, 100, 20, 0)
    assert surveyed(mock, [member(10)]).doubt == 0


def test_survey_in_slices(mock: MockProc) -> None:
    """A survey of many gives way every 20 ms, and says what it cost in all."""
    members = [member(pid) for pid in range(10, 60)]
    for kin in members:
        mock.process(kin.identity.pid)
        mock.anon(kin.identity.pid, 1)
    clock = ticking(SLICE / 10)
    surveyor = Surveyor(mock.proc, members, Tally(0, 0, 0, 0, 0, 50), clock.__next__)
    slices = 0
    while (found := surveyor.advance()) is None:
        slices += 1
    assert slices == 5
    assert found.anon == 50 * MIB
    assert found.cost == pytest.approx(5 * 1.1 * SLICE + SLICE / 10)


def test_survey_of_nobody(mock: MockProc) -> None:
    """A family that is gone holds nothing."""
    found = surveyed(mock, [])
    assert (found.pss, found.anon, found.doubt) == (0, 0, 0)

"""The cgroup enclosure on a fake leaf: what it makes of the files, and of files that refuse."""

from __future__ import annotations

import errno
import os
from functools import partial
from pathlib import Path

import pytest

from sentinel.cgroup import enclosure
from sentinel.cgroup.enclosure import CgroupEnclosure
from sentinel.cgroup.leaf import Leaf, make_leaf
from sentinel.cgroup.press import Press
from sentinel.cgroup.tree import Cgroup
from sentinel.enclosure import Look
from sentinel.model.errors import KernelFileError, SentinelError
from sentinel.model.events import Event, Happening
from sentinel.model.outcome import CounterDelta
from sentinel.model.spec import Count, Limits
from tests.cgroup.faketree import Tree

MIB = 1 << 20
LIMITS = Limits(soft=64 * MIB, hard=96 * MIB)
H = Happening


class Main:
    """A main process that only counts its signals."""

    def __init__(self) -> None:
        self.pid = 1 << 30
        self.signals: list[int] = []

    def send(self, signal: int) -> bool:
        """Count."""
        self.signals.append(signal)
        return True


class Waiting:
    """Which files wake the guard."""

    def __init__(self) -> None:
        self.watched: dict[int, str] = {}

    def watch(self, fd: int, token: object, *, priority: bool = False) -> None:
        """Remember its name; kernel files tell by POLLPRI."""
        assert isinstance(token, CgroupEnclosure)
        assert priority
        self.watched[fd] = os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))

    def forget(self, fd: int) -> None:
        """No longer."""
        self.watched.pop(fd, None)

    def names(self) -> set[str]:
        """The files that wake."""
        return set(self.watched.values())


BOTH = {"cgroup.events", "memory.events.local"}


class Held:
    """An enclosure on a fake leaf, and the handles of the test."""

    def __init__(self, fake: Tree, leaf: Leaf, limits: Limits = LIMITS) -> None:
        self.fake = fake
        self.place = Path(leaf.cgroup.path)
        leaf.limit(limits)
        self.main, self.waiting = Main(), Waiting()
        self.enclosure = CgroupEnclosure(leaf, limits)
        self.enclosure.adopt(self.main, self.waiting, 0.0)
        fake.log.clear()

    def memory(self, anon: int = 0, file: int = 0, *, high: int = 0, **events: int) -> None:
        """Set what the leaf's memory is made of, and its counters."""
        keys = {"anon": anon, "inactive_anon": anon, "file": file, "inactive_file": file}
        counts = {"high": high, "max": 0, "oom": 0, "oom_kill": 0} | events
        for name, words in (("memory.stat", keys), ("memory.events.local", counts)):
            text = "".join(f"{key} {value}\n" for key, value in words.items())
            self.fake.put(self.place, name, text)
        self.fake.put(self.place, "memory.current", f"{anon + file}\n")

    def high(self) -> str:
        """memory.high."""
        return self.fake.get(self.place, "memory.high")


@pytest.fixture
def leaf(fake: Tree, cgroups: type[Cgroup]) -> Leaf:
    """A fresh leaf in a place with all controllers."""
    fake.make("p/other")
    return make_leaf(cgroups.open(str(fake.top / "p")), "run")


@pytest.fixture
def held(fake: Tree, leaf: Leaf) -> Held:
    """An enclosure at 64 MiB."""
    return Held(fake, leaf)


def kinds(look: Look) -> list[Happening]:
    """What a look tells."""
    return [event.what for event in look.events]


def test_quiet_costs_nothing(held: Held) -> None:
    """Both files wake it, and without a new event memory is not even read."""
    assert held.waiting.names() == BOTH
    held.memory(anon=500 * MIB)
    held.fake.refuse("read", "memory.stat", errno.EIO)
    assert held.enclosure.look(1.0) == Look()
    assert held.waiting.names() == BOTH


def test_an_alert_is_driven_by_the_clock_alone(held: Held) -> None:
    """While readings are due anyway, fifty wake-ups a second are slept through; then not."""
    held.memory(file=64 * MIB, high=1)
    assert held.enclosure.look(1.0) == Look(again=1.01)
    assert held.waiting.names() == {"cgroup.events"}
    held.memory(file=64 * MIB, high=900)
    held.enclosure.look(1.01)
    assert held.waiting.names() == {"cgroup.events"}
    assert held.enclosure.look(2.5) == Look()
    assert held.waiting.names() == BOTH
    assert held.fake.log == [], "the wire stays where it is"


def test_only_a_wake_up_that_signalled_nobody_was_ignored(held: Held) -> None:
    """What page cache raises is counted; a look without an event and a crossing are not."""
    held.memory(file=64 * MIB, high=3)
    held.enclosure.look(1.0)
    held.enclosure.look(1.01)
    assert held.enclosure.tally()[2:] == (3, 1)
    held.memory(anon=66 * MIB, high=4)
    held.enclosure.look(1.02)
    assert kinds(held.enclosure.look(1.05)) == [H.SOFT_CROSSED]
    assert held.enclosure.tally()[2:] == (4, 1)


def test_a_crossing_brings_its_reading(held: Held) -> None:
    """With when it began."""
    held.memory(anon=66 * MIB, high=1)
    held.enclosure.look(1.0)
    look = held.enclosure.look(1.03)
    assert kinds(look) == [H.SOFT_CROSSED]
    (event,) = look.events
    assert (event.first_event, event.first_over) == (1.0, 1.0)
    assert event.reading is not None
    assert (event.reading.current, event.reading.working_set) == (66 * MIB, 66 * MIB)
    assert look.again == 1.04


def test_a_crossing_that_went_down_is_cleared(held: Held) -> None:
    """Under --for."""
    held.memory(anon=66 * MIB, high=1)
    held.enclosure.look(1.0)
    held.enclosure.look(1.03)
    held.memory(anon=MIB, high=1)
    look = held.enclosure.look(1.04)
    assert (kinds(look), look.again) == ([H.SOFT_CLEARED], None)
    assert held.waiting.names() == BOTH


def test_memory_that_cannot_be_read_is_told_once(held: Held) -> None:
    """Blind, it still hears of an OOM and of the end."""
    held.memory(anon=66 * MIB, high=1)
    held.enclosure.look(1.0)
    held.fake.refuse("read", "memory.stat", errno.EIO)
    look = held.enclosure.look(1.01)
    assert look == Look((Event(H.DEGRADED, None, "the leaf's memory cannot be read"),))
    assert held.waiting.names() == BOTH
    held.memory(anon=66 * MIB, high=2)
    assert held.enclosure.look(1.02) == Look()
    held.memory(anon=66 * MIB, high=2, oom=1, oom_kill=1)
    assert kinds(held.enclosure.look(1.03)) == [H.HARD_CROSSED]


def test_a_wire_that_cannot_be_lifted_is_told(fake: Tree, leaf: Leaf) -> None:
    """Under --count anon the enclosure lifts it by itself; a refusal must not end the guard."""
    held = Held(fake, leaf, LIMITS._replace(counted=Count.ANON))
    text = f"anon 4096\nshmem {66 * MIB}\ninactive_anon {66 * MIB}\n"
    held.memory(high=1)
    fake.put(held.place, "memory.stat", text)
    fake.put(held.place, "memory.current", f"{66 * MIB}\n")
    fake.refuse("write", "memory.high", errno.EACCES)
    held.enclosure.look(1.0)
    look = held.enclosure.look(1.04)
    assert kinds(look) == [H.DEGRADED]
    assert look.events[0].detail == (
        f"cannot write 'max' to {held.place}/memory.high: Permission denied"
    )
    assert look.again == 1.05


def test_the_wire_is_written_as_ordered(held: Held) -> None:
    """Lifted is max, armed is the soft limit, to the byte."""
    assert held.high() == str(64 * MIB)
    held.enclosure.set_wire(armed=False, now=1.0)
    assert held.high() == "max"
    held.enclosure.set_wire(armed=True, now=1.0)
    assert held.high() == str(64 * MIB)


def test_in_a_stop_only_the_wall_is_news(held: Held) -> None:
    """Over the limit for long, but already asked to stop."""
    held.enclosure.ask(15, main_only=True)
    held.memory(anon=90 * MIB, high=50)
    assert held.enclosure.look(1.0) == Look()
    held.memory(anon=90 * MIB, high=50, oom=1)
    assert held.enclosure.look(1.5) == Look(again=1.75)
    held.memory(anon=90 * MIB, high=50, oom=1, oom_kill=1)
    look = held.enclosure.look(1.75)
    assert kinds(look) == [H.HARD_CROSSED]
    assert look.events[0].detail == "the kernel's OOM killer ended it at the hard limit"


def test_asking_the_main_process_alone(held: Held) -> None:
    """The signal, then the CONT without which a stopped one could not handle it; once."""
    assert held.enclosure.ask(15, main_only=True) == 1
    assert held.enclosure.ask(15, main_only=True) == 0
    assert held.main.signals == [15, 18]


def test_everybody_else_is_asked_once(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the main process, and only where it is not to be asked alone."""
    asked: list[tuple[int, int]] = []

    def ask(pid: int, signal: int, _: object) -> bool:
        asked.append((pid, signal))
        return True

    monkeypatch.setattr(enclosure, "ask_member", ask)
    held.fake.put(held.place, "cgroup.procs", f"{held.main.pid}\n7\n8\n")
    assert held.enclosure.ask(10, main_only=True) == 1
    assert asked == []
    assert held.enclosure.ask(10, main_only=False) == 2
    assert held.enclosure.ask(10, main_only=False) == 0
    assert asked == [(7, 10), (8, 10)]
    held.enclosure.reaped(8)
    assert held.enclosure.ask(10, main_only=False) == 1, "a number that was used again"


def test_new_limits_are_written_and_judged_by(held: Held) -> None:
    """The wall only when it is another one; memory that is over the new limit needs no event."""
    held.enclosure.set_limits(LIMITS._replace(soft=48 * MIB), 1.0)
    assert held.fake.log == [("memory.high", str(48 * MIB))]
    held.fake.log.clear()
    held.memory(anon=33 * MIB)
    held.enclosure.set_limits(Limits(soft=32 * MIB, hard=None), 2.0)
    assert held.fake.log == [("memory.max", "max")]
    held.enclosure.look(2.0)
    assert held.high() == str(32 * MIB)
    assert kinds(held.enclosure.look(2.03)) == [H.SOFT_CROSSED]


def test_page_cache_over_a_wire_that_comes_down_is_no_crossing(
    fake: Tree, leaf: Leaf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives way bite by bite; only what cannot be freed is judged meanwhile."""
    monkeypatch.setattr(enclosure, "Press", partial(Press, clock=lambda: 1.0))
    held = Held(fake, leaf)
    held.memory(anon=10 * MIB, file=50 * MIB)
    held.enclosure.set_limits(LIMITS._replace(soft=32 * MIB), 1.0)
    looks = [held.enclosure.look(1.0 + step / 100) for step in range(150)]
    assert [kinds(look) for look in looks if look.events] == []
    held.memory(anon=33 * MIB, file=27 * MIB, high=1)
    held.enclosure.look(3.0)
    assert kinds(held.enclosure.look(3.03)) == [H.SOFT_CROSSED]


def test_without_memory_reclaim_nothing_is_reclaimed(held: Held) -> None:
    """Before Linux 5.19; who asks is told."""
    with pytest.raises(SentinelError) as caught:
        held.enclosure.reclaim(MIB)
    assert str(caught.value) == "this kernel has no memory.reclaim; use Linux 5.19 or newer"


def test_the_main_process_is_the_first_member(held: Held) -> None:
    """The others as the kernel lists them."""
    held.fake.put(held.place, "cgroup.procs", f"8\n7\n{held.main.pid}\n")
    assert held.enclosure.members() == (held.main.pid, 8, 7)


def test_freezing_is_a_write(held: Held) -> None:
    """cgroup.freeze halts the whole subtree, and lets it go on."""
    held.fake.put(held.place, "cgroup.freeze", "0\n")
    held.enclosure.freeze(frozen=True)
    held.enclosure.freeze(frozen=False)
    assert held.fake.log == [("cgroup.freeze", "1"), ("cgroup.freeze", "0")]


def test_members_that_vanish_are_not_asked(held: Held) -> None:
    """Numbers without a process, and the 0 of another pid namespace."""
    held.fake.put(held.place, "cgroup.procs", f"{1 << 30}\n{(1 << 30) + 1}\n0\n")
    assert held.enclosure.ask(15, main_only=False) == 1


def test_who_is_no_member_any_more_is_not_signalled(held: Held) -> None:
    """This very process is listed by the fake, but its own cgroup is another one."""
    held.fake.put(held.place, "cgroup.procs", f"{os.getpid()}\n")
    assert held.enclosure.ask(9, main_only=False) == 1
    assert held.main.signals == [9, 18]


def test_killing_is_one_write_and_the_main_process(held: Held) -> None:
    """Root's command may have moved itself out of the leaf."""
    held.fake.put(held.place, "cgroup.procs", "7\n8\n")
    assert held.enclosure.kill() == 2
    assert held.fake.log == [("cgroup.kill", "1")]
    assert held.main.signals == [9]


@pytest.mark.parametrize("error", [errno.EOPNOTSUPP, errno.EACCES, errno.EMFILE])
def test_members_that_cannot_be_counted_are_killed_all_the_same(held: Held, error: int) -> None:
    """A threaded cgroup inside, or whatever: the kill comes first."""
    held.fake.refuse("read", "cgroup.procs", error)
    assert held.enclosure.kill() == 0
    assert held.fake.log == [("cgroup.kill", "1")]


def test_when_the_leaf_cannot_be_killed_its_main_process_is(held: Held) -> None:
    """And the refusal is told, with its file."""
    held.fake.refuse("write", "cgroup.kill", errno.EACCES)
    with pytest.raises(KernelFileError, match=r"/cgroup\.kill: Permission denied"):
        held.enclosure.kill()
    assert held.main.signals == [9]


@pytest.mark.parametrize(("populated", "empty"), [(0, True), (1, False)])
def test_empty_is_what_the_kernel_says(held: Held, populated: int, *, empty: bool) -> None:
    """Zombies are none of its business."""
    held.fake.put(held.place, "cgroup.events", f"populated {populated}\nfrozen 0\n")
    assert held.enclosure.is_empty() is empty


def test_the_ledger_is_read_before_the_leaf_goes(held: Held) -> None:
    """Peaks, counters from the leaf upwards, and nothing that did not move."""
    held.memory(anon=30 * MIB, high=3)
    held.enclosure.look(1.0)
    held.memory(anon=20 * MIB, high=7, max=2)
    held.enclosure.look(1.02)
    held.fake.put(held.place, "memory.peak", f"{65 * MIB}\n")
    held.fake.put(held.fake.top / "p", "memory.events.local", "max 5\nhigh 0\n")
    ledger = held.enclosure.close()
    assert ledger.peak_current == 65 * MIB
    assert ledger.peak_working_set == 30 * MIB
    assert ledger.high_events == 7
    assert ledger.counters == (
        CounterDelta(str(held.place), {"high": 7, "max": 2}),
        CounterDelta(str(held.fake.top / "p"), {"max": 5}),
    )
    assert (ledger.left_behind, ledger.unremoved) == ((), "")
    assert not held.place.exists()
    assert held.waiting.watched == {}


def test_unknown_is_none(held: Held) -> None:
    """Before 5.19 there is no memory.peak; without an event there was no reading."""
    (held.place / "memory.peak").unlink()
    ledger = held.enclosure.close()
    assert (ledger.peak_current, ledger.peak_working_set, ledger.high_events) == (None, None, 0)
    assert ledger.counters == ()


def test_a_leaf_that_stays_is_named(held: Held) -> None:
    """With its survivors, this process standing in for one."""
    held.fake.put(held.place, "cgroup.procs", f"{os.getpid()}\n")
    ledger = held.enclosure.close()
    assert [survivor.pid for survivor in ledger.left_behind] == [os.getpid()]
    assert ledger.unremoved == f"{held.place}: Device or resource busy"

"""The observer on a fake tree: what counts, what is told, and what is left to the crew."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sentinel.cgroup import container, observer
from sentinel.cgroup.ladder import observed
from sentinel.cgroup.observer import RETRY_AFTER, Observer
from sentinel.cgroup.placement import Host, Refusal
from sentinel.cgroup.tree import Cgroup
from sentinel.enclosure import Look, Process, Waiter
from sentinel.model.errors import KernelFileError, SentinelError
from sentinel.model.events import Event, Happening
from sentinel.model.outcome import Ledger, Survivor
from sentinel.model.spec import Count, Limits
from sentinel.policy.pace import FASTEST, LAST_SHARE
from tests.cgroup.faketree import Tree
from tests.contract.fake import Unobserved

MIB = 1 << 20
LIMITS = Limits(soft=64 * MIB, hard=96 * MIB)
BEFORE = 30 * MIB


class Crew(Unobserved):
    """A crew that does what it is told and looks every second."""

    backend = "crew"
    where = ""
    unenforced: tuple[str, ...] = ("pids",)

    def __init__(self) -> None:
        self.done: list[str] = []
        self.events: tuple[Event, ...] = ()

    def enter(self) -> None:
        """Keep that it was called."""
        self.done.append("enter")

    def adopt(self, main: Process, waiter: Waiter, now: float) -> None:
        """Watch something as itself."""
        assert main.pid == 1
        assert now == 0.0
        waiter.watch(7, self)

    def look(self, now: float) -> Look:
        """What it was given to tell, once."""
        told, self.events = self.events, ()
        return Look(told, now + 1.0)

    def set_wire(self, *, armed: bool, now: float) -> None:
        """Never called."""
        raise AssertionError((armed, now))

    def ask(self, signal: int, *, main_only: bool) -> int:
        """Keep the order."""
        self.done.append(f"ask {signal} {main_only}")
        return 2

    def kill(self) -> int:
        """Keep the order."""
        self.done.append("kill")
        return 3

    def is_empty(self) -> bool:
        """Ask for nothing more."""
        return True

    def reaped(self, pid: int) -> None:
        """Keep the number."""
        self.done.append(f"reaped {pid}")

    def spare(self, pid: int) -> None:
        """Keep the number."""
        self.done.append(f"spare {pid}")

    def survivors(self) -> tuple[Survivor, ...]:
        """One."""
        return (Survivor(5, "x", "D"),)

    def close(self) -> Ledger:
        """What the crew knows."""
        return Ledger(1, 2, left_behind=self.survivors())


class Box:
    """A container: what its memory is made of, and the observer of it."""

    def __init__(
        self,
        fake: Tree,
        cgroups: type[Cgroup],
        limits: Limits = LIMITS,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.fake = fake
        self.path = fake.make("box")
        self.crew = Crew()
        self.hold(anon=BEFORE)
        cgroup = cgroups.open(str(self.path))
        self.observer = Observer(self.crew, cgroup, limits, clock)

    def hold(
        self, *, anon: int = 0, file: int = 0, slab: int = 0, lazy: int = 0, shmem: int = 0
    ) -> None:
        """Let the container hold so many bytes; `lazy` is anonymous on a file list."""
        stat = {
            "anon": anon + lazy,
            "file": file + shmem,
            "shmem": shmem,
            "kernel": slab,
            "active_anon": anon + shmem,
            "inactive_file": file + lazy,
            "slab_reclaimable": slab,
        }
        text = "".join(f"{key} {value}\n" for key, value in stat.items())
        self.fake.put(self.path, "memory.stat", text)
        self.fake.put(self.path, "memory.current", f"{anon + file + slab + lazy + shmem}\n")

    def swap(self, swapped: int) -> None:
        """Let so many bytes be in swap."""
        self.fake.put(self.path, "memory.swap.current", f"{swapped}\n")

    def told(self, now: float) -> list[Happening]:
        """What a look tells."""
        return [event.what for event in self.observer.look(now).events]


class Own:
    """This process's own memory, as it is told look by look; it stands still when nothing is."""

    held: Iterator[int | None] = itertools.repeat(20 * MIB)

    def anon(self) -> int | None:
        """The next one."""
        return next(self.held)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own process grows as it likes."""
    monkeypatch.setattr(container, "OwnMemory", Own)


@pytest.fixture
def make(
    fake: Tree, cgroups: type[Cgroup], request: pytest.FixtureRequest
) -> Iterator[Callable[..., Box]]:
    """Makes the container; closes what it opened."""
    request.getfixturevalue("no_leaks")
    boxes: list[Box] = []

    def box(limits: Limits = LIMITS) -> Box:
        boxes.append(Box(fake, cgroups, limits))
        return boxes[-1]

    yield box
    for made in boxes:
        made.observer.close()


def test_mapped_memory_over_the_limit_is_told_at_the_first_reading(
    make: Callable[..., Box],
) -> None:
    """What was there before is taken off, in the reading, too."""
    box = make()
    box.hold(anon=BEFORE + 64 * MIB)
    assert box.told(1.0) == []
    box.hold(anon=BEFORE + 65 * MIB)
    (event,) = box.observer.look(2.0).events
    assert event.what is Happening.SOFT_CROSSED
    assert event.reading is not None
    assert event.reading.working_set == event.reading.current == 65 * MIB
    assert event.reading.composition is not None
    assert event.reading.composition.anon == 65 * MIB


@pytest.mark.parametrize(
    "held", [{"file": 900 * MIB}, {"slab": 300 * MIB}, {"lazy": 300 * MIB}], ids=str
)
@pytest.mark.parametrize("mapped", [10 * MIB, LIMITS.soft], ids=["far", "at the limit"])
def test_what_reclaim_could_free_is_never_told(
    held: dict[str, int], mapped: int, make: Callable[..., Box]
) -> None:
    """Not for ten times the rule's longest patience: nobody reclaims at our limit, so it stays."""
    box = make()
    box.hold(anon=BEFORE + mapped, **held)
    now = 1.0
    while now < 10:
        look = box.observer.look(now)
        assert look.events == ()
        assert look.again is not None
        now = max(look.again, now + 0.001)


def test_a_total_counts_page_cache(make: Callable[..., Box]) -> None:
    """`--count total` asked for it."""
    box = make(LIMITS._replace(counted=Count.TOTAL, hard=None))
    box.hold(anon=BEFORE, file=65 * MIB)
    assert box.told(1.0) == [Happening.SOFT_CROSSED]


def test_a_crossing_is_taken_back(make: Callable[..., Box]) -> None:
    """3 % under the limit again."""
    box = make()
    box.hold(anon=BEFORE + 65 * MIB)
    assert box.told(1.0) == [Happening.SOFT_CROSSED]
    box.hold(anon=BEFORE + 60 * MIB)
    assert box.told(2.0) == [Happening.SOFT_CLEARED]


def test_the_wall_is_sampled(make: Callable[..., Box]) -> None:
    """Over the hard limit there is nothing more to be looked at."""
    box = make()
    box.hold(anon=BEFORE + 96 * MIB)
    assert box.told(1.0) == [Happening.HARD_CROSSED]
    assert box.observer.look(2.0) == Look((), 3.0)


@pytest.mark.parametrize("count", Count, ids=lambda count: count.value)
def test_what_was_swapped_out_still_counts(count: Count, make: Callable[..., Box]) -> None:
    """Nobody keeps the run out of swap, and nothing there is a leak's excuse."""
    box = make(LIMITS._replace(counted=count))
    box.hold(anon=BEFORE + 40 * MIB)
    box.swap(23 * MIB)
    assert box.told(1.0) == []
    box.swap(25 * MIB)
    (event,) = box.observer.look(2.0).events
    assert event.what is Happening.SOFT_CROSSED
    assert event.reading is not None
    assert event.reading.composition is not None
    assert event.reading[1:4] == (65 * MIB,) * 3
    assert event.reading.composition.anon == 65 * MIB


def test_what_was_in_swap_before_does_not_count(make: Callable[..., Box], fake: Tree) -> None:
    """A neighbour's; the leaf of nobody."""
    fake.put(fake.make("box"), "memory.swap.current", f"{50 * MIB}\n")
    box = make()
    box.hold(anon=BEFORE + 40 * MIB)
    assert box.told(1.0) == []
    reading = box.observer.read(2.0)
    assert reading is not None
    assert reading[1:4] == (40 * MIB,) * 3


def test_sentinels_own_growth_is_not_the_runs(
    make: Callable[..., Box], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the same cgroup: what it imports later, and what it lets go of."""
    monkeypatch.setattr(Own, "held", iter([20 * MIB, 23 * MIB, 18 * MIB, None]))
    box = make()
    box.hold(anon=BEFORE + 40 * MIB)
    readings = [box.observer.read(now) for now in (1.0, 2.0, 3.0)]
    assert [reading and reading.working_set for reading in readings] == [
        *(37 * MIB, 42 * MIB),
        40 * MIB,  # unknown is no growth
    ]
    assert [reading and reading.anon for reading in readings] == [37 * MIB, 42 * MIB, 40 * MIB]


def test_only_what_is_counted_is_confirmed_at_once(make: Callable[..., Box]) -> None:
    """`--count anon`: a tmpfs over the limit is nobody's business."""
    box = make(LIMITS._replace(counted=Count.ANON))
    box.hold(anon=BEFORE + 10 * MIB, shmem=70 * MIB)
    now = 1.0
    while now < 5:
        look = box.observer.look(now)
        assert look.events == ()
        assert look.again is not None
        now = max(look.again, now + 0.001)


def test_kernel_memory_is_confirmed_at_once(make: Callable[..., Box]) -> None:
    """Sockets and page tables count as in a leaf; they are on no LRU list that could jump."""
    box = make()
    box.hold(anon=BEFORE + 60 * MIB)
    box.fake.put(
        box.path,
        "memory.stat",
        f"anon {BEFORE + 60 * MIB}\nkernel {5 * MIB}\nactive_anon {BEFORE + 60 * MIB}\n",
    )
    box.fake.put(box.path, "memory.current", f"{BEFORE + 65 * MIB}\n")
    assert box.told(1.0) == [Happening.SOFT_CROSSED]


def test_a_jump_of_the_lists_alone_is_not_confirmed_at_once(make: Callable[..., Box]) -> None:
    """For one reading they count file pages that reclaim moves; the counters by kind do not."""
    box = make()
    anon, jumped = BEFORE + 50 * MIB, BEFORE + 66 * MIB
    box.fake.put(box.path, "memory.stat", f"anon {anon}\nactive_anon {jumped}\n")
    box.fake.put(box.path, "memory.current", f"{jumped}\n")
    assert box.told(1.0) == []
    box.hold(anon=anon, file=16 * MIB)
    assert box.told(1.01) == []


def test_near_a_new_limit_the_tasks_are_counted(make: Callable[..., Box]) -> None:
    """They decide how much a reading may be too high; far from the limit nobody asks."""
    box = make()
    box.fake.put(box.path, "cgroup.threads", "1\n2\n3\n")
    box.hold(anon=BEFORE + 10 * MIB)
    far = box.observer.read(1.0)
    box.observer.set_limits(LIMITS._replace(soft=11 * MIB), 2.0)
    near = box.observer.read(3.0)
    assert far is not None
    assert near is not None
    assert (far.tasks, near.tasks) == (None, 3)


def test_a_container_whose_memory_cannot_be_read_is_not_observed(
    fake: Tree, cgroups: type[Cgroup], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it held before is what everything is taken off from. Nothing stays open."""
    closed: list[Own] = []
    monkeypatch.setattr(Own, "close", lambda own: closed.append(own))  # noqa: PLW0108 - a method
    fake.refuse("read", "memory.stat", errno.EACCES)
    box = cgroups.open(str(fake.make("box")))
    with pytest.raises(KernelFileError, match=r"memory\.stat: Permission denied"):
        Observer(Crew(), box, LIMITS, lambda: 0.0)
    box.close()
    assert len(closed) == 1


def test_near_the_limit_the_looks_are_close_until_it_is_told(make: Callable[..., Box]) -> None:
    """A leak of 80 MiB/s is seen within milliseconds, however far the hard limit is."""
    box = make(LIMITS._replace(hard=1024 * MIB))
    now, rate = 0.0, 80 * MIB
    while True:
        box.hold(anon=BEFORE + int(now * rate))
        look = box.observer.look(now)
        if look.events:
            break
        assert look.again is not None
        now = look.again
    assert now * rate - LIMITS.soft <= 0.005 * rate
    now = 1024 * MIB / rate - 0.002
    box.hold(anon=BEFORE + int(now * rate))
    again = box.observer.look(now).again
    assert again is not None
    assert again <= 1024 * MIB / rate


@pytest.mark.parametrize(("worked", "again"), [(0.0, FASTEST), (0.004, 0.004 * LAST_SHARE)])
def test_only_work_makes_looks_rarer(
    fake: Tree,
    cgroups: type[Cgroup],
    monkeypatch: pytest.MonkeyPatch,
    worked: float,
    again: float,
) -> None:
    """Not the time in which others had the CPU: just then the machine may be about to die."""
    monkeypatch.setattr(observer, "worked", itertools.count(0.0, worked).__next__)
    box = Box(fake, cgroups, clock=itertools.count(0.0, 2.0).__next__)
    box.hold(anon=BEFORE + 20 * MIB)
    box.observer.look(1.0)
    box.hold(anon=BEFORE + LIMITS.soft - 4096)
    assert box.observer.look(1.1).again == pytest.approx(1.1 + again)
    box.observer.close()


def test_memory_that_cannot_be_read_is_told_once(make: Callable[..., Box]) -> None:
    """The run goes on, and is watched again as soon as that is possible."""
    box = make()
    box.hold(anon=BEFORE + 65 * MIB)
    box.fake.refuse("read", "memory.stat", errno.ENOMEM)
    (event,) = box.observer.look(1.0).events
    assert event.what is Happening.DEGRADED
    assert "memory.stat: Cannot allocate memory" in event.detail
    assert box.observer.look(1.5) == Look((), 1.0 + RETRY_AFTER)
    assert box.observer.look(2.0).events == ()
    box.fake.refusals.clear()
    assert box.told(3.0) == [Happening.SOFT_CROSSED]


def test_memory_files_that_vanish_are_told_once(make: Callable[..., Box]) -> None:
    """A cgroup file system that somebody unmounted: nothing there is 0 bytes."""
    box = make()
    (box.path / "memory.current").unlink()
    assert box.told(1.0) == [Happening.DEGRADED]
    assert box.told(3.0) == []
    assert box.observer.read(4.0) is None


def test_without_event_counters_no_oom_is_blamed_on_anybody(
    fake: Tree, cgroups: type[Cgroup]
) -> None:
    """memory.events is masked: that somebody was killed is not known."""
    path = fake.make("box")
    (path / "memory.events.local").unlink()
    box = Box(fake, cgroups)
    ledger = box.observer.close()
    assert (ledger.counters, ledger.oom_above) == ((), None)


def test_what_the_crew_tells_is_passed_on(make: Callable[..., Box]) -> None:
    """Its events, its time of the next look, and its orders."""
    box = make()
    box.crew.events = (Event(Happening.DEGRADED, detail="no record"),)
    assert box.told(0.5) == [Happening.DEGRADED]
    assert box.observer.unenforced == ("pids",)
    assert box.observer.ask(15, main_only=True) == 2
    assert box.observer.kill() == 3
    box.observer.reaped(9)
    box.observer.enter()
    box.observer.spare(11)
    assert box.crew.done == ["ask 15 True", "kill", "reaped 9", "enter", "spare 11"]
    assert box.observer.is_empty()
    box.observer.set_wire(armed=True, now=1.0)


def test_memory_cannot_be_reclaimed_where_nothing_can_be_written(make: Callable[..., Box]) -> None:
    """Who asks for it is told, with whom to ask what that needs."""
    with pytest.raises(SentinelError) as caught:
        make().observer.reclaim(MIB)
    assert str(caught.value) == (
        "the cgroup-ro backend cannot reclaim memory; sentinel doctor tells what it needs"
    )


def test_what_the_crew_watches_wakes_the_observer(make: Callable[..., Box]) -> None:
    """The guard knows one enclosure."""
    box = make()
    watched: list[tuple[int, object]] = []

    class Desk:
        def watch(self, fd: int, token: object, *, priority: bool = False) -> None:
            assert not priority
            watched.append((fd, token))

        def forget(self, fd: int) -> None:
            raise AssertionError(fd)

    class Main:
        pid = 1

        def send(self, signal: int) -> bool:
            raise AssertionError(signal)

    box.observer.adopt(Main(), Desk(), 0.0)
    assert watched == [(7, box.observer)]


def test_the_ledger_has_the_peaks_and_whose_oom_it_was(fake: Tree, cgroups: type[Cgroup]) -> None:
    """Peaks of the run alone; an OOM at the container's limit is one above the run."""
    box = Box(fake, cgroups, LIMITS._replace(hard=None))
    box.hold(anon=BEFORE + 50 * MIB, file=MIB)
    box.told(1.0)
    fake.put(box.path, "memory.events.local", "oom 1\noom_kill 1\n")
    ledger = box.observer.close()
    assert (ledger.peak_current, ledger.peak_working_set) == (51 * MIB, 50 * MIB)
    assert ledger.oom_above == str(box.path)
    assert ledger.left_behind == (Survivor(5, "x", "D"),)


def view(tmp_path: Path, box: Path) -> Host:
    """The view of a process in `box`, which is mounted as the whole tree."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text("0::/\n")
    (tmp_path / "self" / "mountinfo").write_text(f"30 22 0:26 / {box} ro - cgroup2 c ro\n")
    return Host(str(tmp_path), str(tmp_path))


def test_a_containers_own_cgroup_can_be_observed(
    tmp_path: Path, fake: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The root of a namespace, where memory.current is."""
    box = fake.make("box")
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path) == str(box))
    host = view(tmp_path, box)
    found = observed(host, alone=True)
    assert isinstance(found, Cgroup)
    assert found.path == str(box)
    found.close()
    (box / "memory.current").unlink()
    refused = observed(host, alone=True)
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.remedy) == (
        f"{box} has no memory.current to be read",
        "start it in a cgroup that has the memory controller",
    )
    own = Path(host.proc) / "self" / "cgroup"
    own.write_text("4:memory:/x\n" + own.read_text())
    refused = observed(host, alone=True)
    assert isinstance(refused, Refusal)
    assert (refused.step, refused.reason) == (
        "read-only cgroup",
        "the memory controller is held by cgroup v1",
    )


def test_what_others_may_be_in_is_observed_by_name_only(tmp_path: Path, fake: Tree) -> None:
    """A login session's cgroup holds its shell, too."""
    box = fake.make("box")
    host = view(tmp_path, box)
    refused = observed(host, alone=True)
    assert isinstance(refused, Refusal)
    assert refused.reason == f"{box} is not a container's, others may be in it"
    found = observed(host, alone=False)
    assert isinstance(found, Cgroup)
    found.close()


def test_without_cgroup_v2_nothing_is_observed(tmp_path: Path) -> None:
    """The step says why it found no cgroup, as the ladder's first does."""
    refused = observed(Host(str(tmp_path), str(tmp_path)), alone=True)
    assert isinstance(refused, Refusal)
    assert (refused.step, refused.applies) == ("read-only cgroup", False)
    assert refused.reason == "no cgroup v2 hierarchy is mounted"

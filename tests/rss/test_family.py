"""Who belongs to a run: on a made-up tree, and on real daemons and crowds."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from sentinel.linux.clock import monotonic
from sentinel.linux.kinship import Identity
from sentinel.linux.process import process_stat
from sentinel.rss.family import SLOWEST_WALK, Family, descendants
from sentinel.rss.procfs import Proc
from tests.rss.mockup import MockProc
from tests.victims.build import victim
from tests.victims.running import Victim, running, wait_until

MAIN = 100


class Clock:
    """A clock that a test sets; each question takes `step` seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.step = 0.0

    def __call__(self) -> float:
        """The time, after the step."""
        self.now += self.step
        return self.now


@pytest.fixture
def mock(tmp_path: Path) -> MockProc:
    """A /proc with this process and the main process of a run."""
    mock = MockProc(tmp_path)
    mock.own()
    mock.newest(MAIN)
    return mock


def begun(mock: MockProc, clock: Clock | None = None) -> Family:
    """A family with its main process."""
    family = Family(mock.proc, clock or Clock())
    mock.process(MAIN)
    mock.own(*(mock.proc.children(os.getpid()) or ()), MAIN)
    family.begin(MAIN)
    return family


def pids(family: Family) -> list[int]:
    """Who is taken to live."""
    return [member.identity.pid for member in family.living()]


@pytest.mark.pure
def test_walks_the_whole_tree(mock: MockProc) -> None:
    """Children of children, and of every thread, are members; the main process comes first."""
    family = begun(mock)
    mock.children(MAIN, 101)
    mock.thread(MAIN, 150)
    mock.children(MAIN, 102, thread=150)
    for pid in (101, 102, 103):
        mock.process(pid)
    mock.children(102, 103)
    assert family.walk()
    assert pids(family)[0] == MAIN
    assert sorted(pids(family)) == [100, 101, 102, 103]
    assert family.version == 4


@pytest.mark.pure
def test_everybody_below_a_process_is_its_descendant(mock: MockProc) -> None:
    """However deep, each with its start, and not the process itself."""
    for pid, child in ((MAIN, 101), (101, 102), (102, 103)):
        mock.process(child, start=child * 2)
        mock.process(pid, start=pid * 2)
        mock.children(pid, child)
    assert descendants(mock.proc, MAIN) == {Identity(pid, pid * 2) for pid in (101, 102, 103)}


@pytest.mark.pure
def test_who_is_alive_is_looked_at_once_more(mock: MockProc) -> None:
    """Nobody is signalled for having lived at the last walk."""
    family = begun(mock)
    mock.children(MAIN, 101, 102)
    for pid in (101, 102):
        mock.process(pid)
    family.walk()
    mock.gone(101)
    assert sorted(pids(family)) == [MAIN, 101, 102]
    assert [member.identity.pid for member in family.alive()] == [MAIN, 102]


@pytest.mark.pure
def test_an_orphan_stays(mock: MockProc) -> None:
    """A daemon whose parents are gone is our own child now, and the same member."""
    family = begun(mock)
    mock.children(MAIN, 101)
    for pid, child in ((101, 102), (102, 0)):
        mock.process(pid)
        mock.children(pid, *[child] * bool(child))
    family.walk()
    mock.children(MAIN)
    mock.gone(101)
    mock.own(MAIN, 102)
    family.walk()
    assert pids(family) == [MAIN, 102]


@pytest.mark.pure
def test_a_member_that_cannot_be_reached_stays(mock: MockProc) -> None:
    """Somebody once met is remembered, and led to its children, though no list has it."""
    family = begun(mock)
    mock.children(MAIN, 101)
    mock.process(101)
    family.walk()
    mock.children(MAIN)
    mock.process(102)
    mock.children(101, 102)
    family.walk()
    assert sorted(pids(family)) == [MAIN, 101, 102]


@pytest.mark.pure
def test_a_reused_number_is_another_process(mock: MockProc) -> None:
    """A member whose number now means another child of the family is that child, unasked."""
    family = begun(mock)
    mock.children(MAIN, 101)
    mock.process(101, start=200)
    family.walk()
    family.living()[1].asked = True
    mock.process(101, start=201)
    family.walk()
    member = family.living()[1]
    assert (member.identity, member.asked) == (Identity(101, 201), False)


@pytest.mark.pure
def test_a_number_reused_outside_is_dropped(mock: MockProc) -> None:
    """A member whose number means a stranger's process now has ended."""
    family = begun(mock)
    mock.children(MAIN, 101)
    mock.process(101, start=200)
    family.walk()
    mock.children(MAIN)
    mock.process(101, start=201)
    family.walk()
    assert pids(family) == [MAIN]


@pytest.mark.pure
def test_zombies_are_no_members(mock: MockProc) -> None:
    """A zombie is not met; a member that became one has ended."""
    family = begun(mock)
    mock.children(MAIN, 101, 102)
    mock.process(101, state="Z")
    mock.process(102)
    family.walk()
    assert pids(family) == [MAIN, 102]
    mock.process(102, state="Z")
    family.walk()
    assert pids(family) == [MAIN]


@pytest.mark.pure
def test_strangers_are_left_out(mock: MockProc) -> None:
    """Children from before the run are none of it, nor what they bring forth, orphans included."""
    mock.process(50)
    mock.process(51)
    mock.children(50, 51)
    mock.own(50)
    family = begun(mock)
    assert family.walk()
    mock.children(51)
    mock.gone(50)
    mock.own(51, MAIN)
    family.walk()
    assert pids(family) == [MAIN]
    mock.process(52)
    mock.own(51, MAIN, 52)
    family.spare(52)
    family.walk()
    assert pids(family) == [MAIN]


@pytest.mark.pure
def test_a_strangers_number_may_come_again(mock: MockProc) -> None:
    """A child of the run is a member though a stranger once had its number."""
    mock.process(50, start=10)
    mock.own(50)
    family = begun(mock)
    mock.process(50, start=11)
    family.walk()
    assert sorted(pids(family)) == [50, MAIN]


@pytest.mark.pure
def test_walks_only_when_something_was_forked(mock: MockProc) -> None:
    """While no pid is given out nobody walks, until half a second has passed."""
    family = begun(mock)
    family.refresh(0, eager=False)
    mock.children(MAIN, 101)
    mock.process(101)
    family.refresh(SLOWEST_WALK - 0.01, eager=False)
    assert pids(family) == [MAIN]
    mock.newest(101)
    family.refresh(SLOWEST_WALK - 0.01, eager=False)
    assert pids(family) == [MAIN, 101]


@pytest.mark.pure
def test_walks_every_half_second(mock: MockProc) -> None:
    """Half a second is too long to trust a number that some containers make up."""
    family = begun(mock)
    family.refresh(0, eager=False)
    mock.children(MAIN, 101)
    mock.process(101)
    family.refresh(SLOWEST_WALK, eager=False)
    assert pids(family) == [MAIN, 101]


@pytest.mark.pure
@pytest.mark.parametrize(
    ("cost", "eager", "rest"),
    [
        (0.001, "calm", 0.2),
        (0.010, "calm", 0.5),
        (0.040, "calm", 0.8),
        (0.001, "eager", 0.01),
        (0.040, "eager", 0.4),
    ],
)
def test_walking_is_paid_for(mock: MockProc, cost: float, eager: str, rest: float) -> None:
    """After a walk its length decides how soon the next may be, and whether it matters much."""
    clock = Clock()
    family = begun(mock, clock)
    clock.step = cost
    family.refresh(0, eager=False)
    walked, clock.step = clock.now, 0.0
    mock.newest(101)
    mock.children(MAIN, 101)
    mock.process(101)
    family.refresh(walked + rest - 0.001, eager=eager == "eager")
    assert pids(family) == [MAIN]
    family.refresh(walked + rest + 0.001, eager=eager == "eager")
    assert pids(family) == [MAIN, 101]


@pytest.mark.pure
def test_hears_of_forks(mock: MockProc) -> None:
    """A fork that the kernel tells makes a member at once, if its parent is one."""
    family = begun(mock)
    mock.process(101)
    mock.process(102)
    mock.process(103)
    family.hear([(77, 103), (MAIN, 101), (101, 102)])
    assert pids(family) == [MAIN, 101, 102]


@pytest.mark.pure
def test_hears_nothing_of_a_members_namesake(mock: MockProc) -> None:
    """A fork of a process that got a dead member's number makes no member."""
    family = begun(mock)
    mock.children(MAIN, 101)
    mock.process(101, start=200)
    family.walk()
    mock.process(101, start=201)
    mock.process(102)
    family.hear([(101, 102)])
    assert pids(family) == [MAIN]


@pytest.mark.pure
def test_walks_on_what_it_hears(mock: MockProc) -> None:
    """While forks are told, strangers' forks cause no walk; when they are not, the pid does."""
    family = begun(mock)
    family.refresh(0, eager=False)
    family.hear([(77, 103)])
    mock.newest(103)
    mock.children(MAIN, 101)
    mock.process(101)
    family.refresh(0.1, eager=False)
    assert pids(family) == [MAIN]
    family.hear(None)
    family.refresh(0.2, eager=False)
    assert pids(family) == [MAIN, 101]


@pytest.mark.pure
def test_forget_needs_an_end(mock: MockProc) -> None:
    """A child that only stopped stays; one that ended is out."""
    family = begun(mock)
    mock.process(MAIN, state="T")
    assert not family.forget(MAIN)
    assert pids(family) == [MAIN]
    mock.gone(MAIN)
    assert family.forget(MAIN)
    assert pids(family) == []
    assert family.forget(4711)


class BearingProc(Proc):
    """A /proc in which every process that is met has had a child by then, and ends."""

    def children(self, pid: int) -> list[int] | None:
        """One more child of ours at each question."""
        if pid != os.getpid():
            return []
        known = super().children(pid) or []
        mock = MockProc(Path(self.root))
        mock.process(max(known) + 1)
        mock.own(*known, max(known) + 1)
        return known


@pytest.mark.pure
def test_a_walk_may_not_come_to_an_end(mock: MockProc) -> None:
    """When at each look somebody new is there, the walk ends without having seen everybody."""
    family = begun(mock)
    assert family.walk()
    mock.proc = BearingProc(str(mock.root))
    assert not begun(mock).walk()


class CometProc(Proc):
    """Our one child forks its successor and ends when our children were listed and are known."""

    listed: list[int] | None = None

    def children(self, pid: int) -> list[int] | None:
        """Those that there are; then the last of them is a zombie that has left a child to us."""
        found = super().children(pid)
        if pid == os.getpid() and found:
            if found == self.listed:
                mock = MockProc(Path(self.root))
                mock.process(found[-1], state="Z")
                mock.process(found[-1] + 1)
                mock.own(*found, found[-1] + 1)
            self.listed = found
        return found


@pytest.mark.pure
def test_who_ends_during_a_walk_may_have_left_somebody(mock: MockProc) -> None:
    """Nobody that was met lives any more, and yet the walk has not seen everybody."""
    mock.proc = CometProc(str(mock.root))
    family = begun(mock)
    assert not family.walk()
    assert pids(family) == []


@pytest.mark.pure
def test_who_ended_before_the_walk_has_left_all_to_us(mock: MockProc) -> None:
    """A member that is a zombie by now keeps no walk from coming to an end."""
    family = begun(mock)
    mock.process(MAIN, state="Z")
    assert family.walk()
    assert pids(family) == []


# --- real processes -------------------------------------------------------------------------


@pytest.fixture
def family(subreaper: None) -> Family:
    """A family below this process, which adopts orphans."""
    del subreaper
    return Family(Proc(), monotonic)


def walked(family: Family) -> set[int]:
    """The members after a walk."""
    family.walk()
    return set(pids(family))


def started(*words: str) -> list[str]:
    """Argv of a victim."""
    return [victim(), *words]


def read_pid(path: Path) -> int:
    """The pid that a daemon has written to `path`, once it has."""
    wait_until(f"a pid in {path}", lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def test_daemon(family: Family, tmp_path: Path) -> None:
    """A double-forked daemon in a session of its own is a member, and nobody else's child."""
    pidfile = tmp_path / "pid"
    with running(started("daemon", f"pidfile={pidfile}", "then=exit")) as main:
        family.begin(main.pid)
        main.wait_start("ready")
        daemon = read_pid(pidfile)
        stat = process_stat(daemon)
        assert stat is not None
        assert stat.parent == os.getpid()
        assert daemon in walked(family)
        main.wait_end()
        assert family.forget(main.pid)
        assert walked(family) == {daemon}
        os.kill(daemon, signal.SIGKILL)
        os.waitpid(daemon, 0)
        assert walked(family) == set()


def test_deep_tree(family: Family) -> None:
    """A chain of 40 processes is found to its end."""
    program = """
import os, time
left = 40
while left and os.fork() == 0:
    left -= 1
left or print("ready", flush=True)
time.sleep(60)
"""
    with running([sys.executable, "-c", program]) as main:
        family.begin(main.pid)
        main.wait_start("ready")
        assert len(walked(family)) == 41
        kill_all(family)


def test_children_of_threads(family: Family) -> None:
    """A child that another thread than the first one forked is found."""
    program = """
import subprocess, threading, time
def start():
    global child
    child = subprocess.Popen(["sleep", "60"])
    print(f"child pid={child.pid}", flush=True)
    time.sleep(60)
threading.Thread(target=start).start()
"""
    with running([sys.executable, "-c", program]) as main:
        family.begin(main.pid)
        child = int(main.wait_line("child")["pid"])
        assert walked(family) == {main.pid, child}
        kill_all(family)


def test_crowd(family: Family) -> None:
    """Five hundred children are all found in one walk."""
    with running(started("forks", "count=500")) as main:
        family.begin(main.pid)
        main.wait_start("ready")
        assert len(walked(family)) == 501
        kill_all(family)


def kill_all(family: Family) -> None:
    """End every member but the main process, so that it is the one to end last."""
    for member in family.living():
        os.kill(member.identity.pid, signal.SIGKILL)


def test_scan_without_children_files(
    subreaper: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a kernel that lists no children, the same family is found by looking at everybody."""
    del subreaper
    monkeypatch.setattr(Proc, "lists_children", lambda _: False)
    monkeypatch.setattr(Proc, "children", lambda _self, _pid: None)
    family = Family(Proc(), monotonic)
    pidfile = tmp_path / "pid"
    with running(started("daemon", f"pidfile={pidfile}", "then=hold")) as main:
        family.begin(main.pid)
        main.wait_start("ready")
        daemon = read_pid(pidfile)
        assert walked(family) == {main.pid, daemon}
        kill_all(family)
        main.wait_end()
        os.waitpid(daemon, 0)
        wait_until("both to be gone", lambda: walked(family) == set())


def test_scan_leaves_others_out(family: Family) -> None:
    """A scan of the whole machine brings nobody in who is not below the run."""
    with running(started("forks", "count=5")) as main:
        family.begin(main.pid)
        main.wait_start("ready")
        assert family.scan() is False
        assert len(pids(family)) == 6
        assert family.scan() is True
        kill_all(family)


def test_descendants() -> None:
    """Everybody below a process, itself left out."""
    with running(started("forks", "count=5")) as main:
        main.wait_start("ready")
        below = descendants(Proc(), main.pid)
        assert len(below) == 5
        assert main.pid not in {identity.pid for identity in below}
        end(main, below)


def end(main: Victim, below: set[Identity]) -> None:
    """Take a crowd down."""
    for identity in below:
        os.kill(identity.pid, signal.SIGKILL)
    main.process.kill()

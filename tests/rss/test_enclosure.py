"""The enclosure without a cgroup, on real processes: whom it sees, shoots and spares."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path

import pytest

from sentinel.linux.kinship import Delivery, has_children
from sentinel.linux.process import process_stat
from sentinel.model.errors import SentinelError
from sentinel.model.events import Happening
from sentinel.model.outcome import Survivor
from sentinel.model.spec import Count, Limits
from sentinel.rss import enclosure as rss_enclosure
from sentinel.rss import procfs
from sentinel.rss.enclosure import RssEnclosure
from sentinel.rss.procfs import Proc
from tests.rss.held import MIB, Held, held
from tests.victims.build import victim
from tests.victims.running import wait_until

pytestmark = pytest.mark.usefixtures("subreaper")


def started(*words: str) -> list[str]:
    """Argv of a victim."""
    return [victim(), *words]


def python(program: str) -> list[str]:
    """Argv of a Python program."""
    return [sys.executable, "-c", program]


def settle(run: Held, seconds: float) -> None:
    """Turn for some time, in which nothing should happen."""
    limit = run.loop.now() + seconds
    while run.loop.now() < limit:
        run.turn(limit)


def surveyed(run: Held, size: int) -> None:
    """Turn until a working set of at least `size` bytes was seen."""
    run.until(
        "a survey of all of it", lambda: (run.enclosure.tally().peak_working_set or 0) >= size
    )


def read_pid(path: Path) -> int:
    """The pid that a daemon has written to `path`, once it has."""
    wait_until(f"a pid in {path}", lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def state(pid: int) -> str:
    """The state letter of `pid`, empty when it is gone."""
    stat = process_stat(pid)
    return "" if stat is None else stat.state


def test_leak_crosses() -> None:
    """A leak is told once it is over the limit, with a reading that shows it."""
    with held(started("leak", "rate=80M", "max=1G"), 64 * MIB) as run:
        run.until("the crossing", lambda: run.told(Happening.SOFT_CROSSED))
        event = run.told(Happening.SOFT_CROSSED)
        assert event is not None
        reading = event.reading
        assert reading is not None
        assert reading.working_set is not None
        assert reading.working_set > 64 * MIB
        assert reading.current >= reading.working_set
        assert reading.composition is not None
        assert reading.composition.largest()[0] == "anon"
        assert event.first_over == reading.at
    ledger = run.close()
    assert (ledger.peak_working_set or 0) >= reading.working_set
    assert ledger.left_behind == ()


def test_steady_run_is_left_alone() -> None:
    """A program under its limit is told nothing about."""
    with held(started("hold", "size=48M"), 64 * MIB) as run:
        run.ready()
        surveyed(run, 48 * MIB)
        settle(run, 2.0)
        before = run.looks
        settle(run, 1.0)
        assert run.events == []
        assert run.looks - before < 40


def test_without_surveys_nothing_is_over() -> None:
    """Another judges the memory: the family is followed, and nobody pays for its PSS."""
    with held(started("hold", "size=80M"), 64 * MIB, surveys=False) as run:
        run.ready()
        settle(run, 1.5)
        assert run.events == []
        assert run.enclosure.members() == (run.process.pid,)
    ledger = run.close()
    assert (ledger.peak_current or 0) >= 80 * MIB
    assert ledger.peak_working_set is None


def test_workers_that_share_are_spared() -> None:
    """Eight workers that share 100 MiB, 900 MiB of RSS in all, are no crossing of 150 MiB."""
    with held(started("workers", "count=8", "size=100M"), 150 * MIB) as run:
        run.ready()
        assert len(run.enclosure.survivors()) == 9
        surveyed(run, 100 * MIB)
        settle(run, 1.0)
        assert run.events == []
    ledger = run.close()
    assert (ledger.peak_current or 0) > 800 * MIB
    assert 100 * MIB <= (ledger.peak_working_set or 0) < 110 * MIB


def test_workers_that_grow_are_not() -> None:
    """The same workers with 10 MiB of their own each are over it."""
    with held(started("workers", "count=8", "size=100M", "own=10M"), 150 * MIB) as run:
        run.until("the crossing", lambda: run.told(Happening.SOFT_CROSSED))


def test_copied_on_write_is_seen() -> None:
    """A worker that writes over what it shares moves no RSS, and is seen all the same."""
    program = """
import os, signal, time
shared = bytearray(os.urandom(4096)) * (20 << 8)  # 20 MiB
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
for _ in range(3):
    if os.fork() == 0:
        signal.sigwait([signal.SIGUSR1])
        for at in range(0, len(shared), 4096):
            shared[at] = 1
        time.sleep(300)
print("ready", flush=True)
time.sleep(300)
"""
    with held(python(program), 60 * MIB) as run:
        run.ready()
        settle(run, 0.8)
        assert run.events == []
        for worker in Proc().children(run.main.pid) or ():
            os.kill(worker, signal.SIGUSR1)
        run.until("the crossing", lambda: run.told(Happening.SOFT_CROSSED))


def test_vfork_is_no_crossing(tmp_path: Path) -> None:
    """A program that starts another is not seen twice while the child runs in its memory."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    program = f"""
import os
ballast = bytearray(os.urandom(4096)) * (60 << 8)  # 60 MiB
print("ready", flush=True)
actions = [(os.POSIX_SPAWN_OPEN, 5, {str(fifo)!r}, os.O_RDONLY, 0)]
os.posix_spawn("/bin/sleep", ["sleep", "60"], {{}}, file_actions=actions)
"""
    with held(python(program), 100 * MIB) as run:
        run.ready()
        run.until("the vfork", lambda: state(run.main.pid) == "D")
        settle(run, 0.7)
        assert len(Proc().children(run.main.pid) or ()) == 1
        assert run.events == []
        os.close(os.open(fifo, os.O_WRONLY))
    assert (run.close().peak_current or 0) > 120 * MIB


def test_mapped_file_is_no_crossing(disk: Path) -> None:
    """A program that maps a file of four times its limit holds no working set of that size."""
    with held(started("mmap", f"file={disk / 'file'}", "size=256M", "seconds=60"), 64 * MIB) as run:
        run.until("the file to be mapped", lambda: mapped(run) > 200 * MIB)
        settle(run, 1.2)
        assert run.events == []


def mapped(run: Held) -> int:
    """Bytes of file that are resident in the main process."""
    statm = Proc().statm(run.main.pid)
    return 0 if statm is None else statm.shared


def test_mapped_file_counts_in_total(disk: Path) -> None:
    """With `--count total` the same program is over its limit."""
    argv = started("mmap", f"file={disk / 'file'}", "size=256M", "seconds=60")
    with held(argv, 64 * MIB, counted=Count.TOTAL) as run:
        run.until("the crossing", lambda: run.told(Happening.SOFT_CROSSED))
        event = run.told(Happening.SOFT_CROSSED)
        assert event is not None
        assert event.reading is not None
        assert event.reading.composition is not None
        assert event.reading.composition.largest()[0] == "file"


def test_shmem_leak_crosses_unless_anon_is_counted() -> None:
    """Shared memory is working set; it is not anonymous."""
    program = """
import mmap, time
shared = mmap.mmap(-1, 80 << 20)
for at in range(0, len(shared), 4096):
    shared[at] = 1
print("ready", flush=True)
time.sleep(60)
"""
    with held(python(program), 64 * MIB) as run:
        run.until("the crossing", lambda: run.told(Happening.SOFT_CROSSED))
    with held(python(program), 64 * MIB, counted=Count.ANON) as run:
        run.ready()
        settle(run, 1.2)
        assert run.events == []


def test_crossing_clears() -> None:
    """When a program has given back what it had too much, that is told too."""
    program = """
import mmap, signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
block = mmap.mmap(-1, 80 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for at in range(0, len(block), 4096):
    block[at] = 1
signal.sigwait([signal.SIGUSR1])
block.close()
time.sleep(300)
"""
    with held(python(program), 64 * MIB) as run:
        run.until("the crossing", lambda: run.told(Happening.SOFT_CROSSED))
        os.kill(run.main.pid, signal.SIGUSR1)
        run.until("the release", lambda: run.told(Happening.SOFT_CLEARED))
        assert [event.what for event in run.events] == [
            Happening.SOFT_CROSSED,
            Happening.SOFT_CLEARED,
        ]


def test_hard_limit_crosses() -> None:
    """A leak that goes on after the soft limit is told when it is over the hard one."""
    with held(started("hold", "size=128M", "seconds=200"), 64 * MIB, 96 * MIB) as run:
        run.until("the wall", lambda: run.told(Happening.HARD_CROSSED))
        assert [event.what for event in run.events] == [
            Happening.SOFT_CROSSED,
            Happening.HARD_CROSSED,
        ]
        reading = run.events[1].reading
        assert reading is not None
        assert (reading.working_set or 0) > 96 * MIB


def test_daemons_leak_counts(tmp_path: Path) -> None:
    """A double-forked daemon that leaks is seen after the main process has ended."""
    words = ("daemon", f"pidfile={tmp_path / 'pid'}", "does=leak", "rate=80M", "then=exit")
    with held(started(*words), 64 * MIB) as run:
        run.until("the crossing", lambda: run.told(Happening.SOFT_CROSSED))
        assert not run.enclosure.is_empty()


def test_asks_everybody_once() -> None:
    """The polite signal goes to every member, daemons and the stopped included, and only once."""
    with held(started("stopped", "count=3"), 64 * MIB) as run:
        run.ready()
        children = Proc().children(run.main.pid) or []
        assert [state(pid) for pid in children] == ["T", "T", "T"]
        assert run.enclosure.ask(signal.SIGTERM, main_only=False) == 4
        assert run.enclosure.ask(signal.SIGTERM, main_only=False) == 0
        run.until("the end", run.enclosure.is_empty)


def test_asks_the_main_process_alone() -> None:
    """With main_only nobody else is signalled, until the others are asked too."""
    with held(started("forks", "count=3", "term=ignore"), 64 * MIB) as run:
        run.ready()
        assert run.enclosure.ask(signal.SIGUSR1, main_only=True) == 1
        assert run.enclosure.ask(signal.SIGTERM, main_only=False) == 3


def test_ignored_signal_leaves_survivors() -> None:
    """Who ignores the polite signal is named, until the kill."""
    with held(started("stubborn", "count=1"), 64 * MIB) as run:
        run.ready()
        run.enclosure.ask(signal.SIGTERM, main_only=False)
        run.until("the main process to end", lambda: run.process.returncode is not None)
        (left,) = run.enclosure.survivors()
        assert left == Survivor(left.pid, os.path.basename(victim())[:15], "S")
        assert not run.enclosure.is_empty()
        assert run.enclosure.kill() == 1
        run.until("the end", run.enclosure.is_empty)
        assert run.enclosure.survivors() == ()


def test_hostile_names() -> None:
    """A process that calls itself like another's state is signalled and named as it is."""
    program = """
import ctypes, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
ctypes.CDLL(None).prctl(15, b"x) Z 1 1\\n", 0, 0, 0)
print("ready", flush=True)
time.sleep(60)
"""
    with held(python(program), 64 * MIB) as run:
        run.ready()
        (left,) = run.enclosure.survivors()
        assert left.name == "x) Z 1 1\n"
        assert left.state == "S"


def test_kills_a_crowd() -> None:
    """Of 500 processes none is left, and all are counted."""
    with held(started("forks", "count=500"), 1024 * MIB) as run:
        run.ready()
        assert run.enclosure.kill() == 501
        run.until("the end", run.enclosure.is_empty)
    assert run.close().left_behind == ()


def test_kills_a_storm_while_it_forks() -> None:
    """A program that is still forking when it is killed leaves nobody."""
    with held(started("forks", "count=2000"), 1024 * MIB) as run:
        run.until("some children", lambda: len(Proc().children(run.main.pid) or ()) > 100)
        assert run.enclosure.kill() > 100
        run.until("the end", lambda: killed(run))


def killed(run: Held) -> bool:
    """Kill again, as the policy does until nobody is left; whether that is so."""
    run.enclosure.kill()
    run.reap()
    return run.enclosure.is_empty()


@pytest.mark.parametrize(("width", "pause"), [(4, 1000), (1, 0)])
def test_kills_a_churn(width: int, pause: int) -> None:
    """Processes that fork a successor and exit, over and over, are caught by repeated kills."""
    words = (f"width={width}", f"pause={pause}", "seconds=300")
    with held(started("churn", *words), 1024 * MIB) as run:
        run.ready()
        run.until("the end", lambda: killed(run))
        run.until("the last to be reaped, and no successor of it", lambda: reaped(run))


def reaped(run: Held) -> bool:
    """Reap; whether the kernel knows of no child of ours any more."""
    run.reap()
    return not has_children()


def test_is_empty_with_a_stranger() -> None:
    """A child from before the run keeps nobody waiting, and is not signalled."""
    with held(started("hold", "size=1M"), 64 * MIB) as stranger:
        stranger.ready()
        with held(started("hold", "size=1M"), 64 * MIB) as run:
            run.ready()
            assert run.enclosure.ask(signal.SIGTERM, main_only=False) == 1
            run.until("the end", run.enclosure.is_empty)
        assert state(stranger.main.pid) == "S"


def test_zombie_is_empty() -> None:
    """A main process that has ended and is not reaped yet is nobody."""
    with held(["true"], 64 * MIB) as run:
        wait_until("the zombie", lambda: state(run.main.pid) == "Z")
        assert run.enclosure.is_empty()
        assert run.enclosure.survivors() == ()


def test_stopped_main_is_not_gone() -> None:
    """A report of a stop, taken for a reaping, does not lose the main process."""
    with held(started("hold", "size=1M"), 64 * MIB) as run:
        run.ready()
        os.kill(run.main.pid, signal.SIGSTOP)
        run.until("the stop", lambda: state(run.main.pid) == "T")
        run.enclosure.reaped(run.main.pid)
        assert not run.enclosure.is_empty()
        assert run.enclosure.kill() == 1


def test_what_cannot_be_killed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is not ours to signal, as a set-user-ID program is, is left behind by name."""
    with held(started("hold", "size=1M"), 64 * MIB) as run:
        run.ready()
        with monkeypatch.context() as patch:
            patch.setattr(rss_enclosure, "kill_identity", lambda _: Delivery.REFUSED)
            assert run.enclosure.kill() == 1
            assert not run.enclosure.is_empty()
        name = os.path.basename(victim())[:15]
        assert run.close().left_behind == (Survivor(run.main.pid, name, "S"),)


def test_refuses_to_guard_blindly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc says nothing, or orphans cannot be adopted, no run is begun."""
    with monkeypatch.context() as patch:
        patch.setattr(procfs, "become_subreaper", not_permitted)
        with pytest.raises(SentinelError, match="cannot become a subreaper: Operation not perm"):
            RssEnclosure(Limits(64 * MIB, None))
    monkeypatch.setattr(Proc, "statm", lambda _self, _pid: None)
    with pytest.raises(SentinelError) as caught:
        RssEnclosure(Limits(64 * MIB, None))
    assert caught.value.remedy == "mount it: mount -t proc proc /proc"


def not_permitted() -> None:
    """Be a seccomp filter."""
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def test_wire_is_nothing() -> None:
    """There is no wire to lift or arm, and nothing to enter."""
    enclosure = RssEnclosure(Limits(64 * MIB, None), ("swap",))
    enclosure.enter()
    enclosure.set_wire(armed=False, now=0.0)
    enclosure.set_wire(armed=True, now=0.0)
    assert (enclosure.backend, enclosure.unenforced) == ("rss", ("swap",))
    assert enclosure.close().peak_current is None


def test_no_descriptor_is_left() -> None:
    """An enclosure closes what it opened."""
    before = len(os.listdir("/proc/self/fd"))
    with held(started("hold", "size=1M"), 64 * MIB) as run:
        run.ready()
    assert len(os.listdir("/proc/self/fd")) == before

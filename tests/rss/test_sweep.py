"""Clearing away the runs of dead guards, and nobody else's."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sentinel.linux.kinship import Identity
from sentinel.linux.loop import Loop
from sentinel.linux.process import process_stat
from sentinel.linux.runtime import Place
from sentinel.rss.record import PREFIX, Kin, Record, format_record, here
from sentinel.rss.sweep import RecordSweep
from tests.victims.build import victim
from tests.victims.running import Victim, running, wait_until

NOBODY = 65534


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Where the records of a test are."""
    (tmp_path / "records").mkdir(mode=0o700)
    return Place(str(tmp_path), "records", private=False)


def left_behind(place: Place, *members: Identity, kin: Kin | None = None) -> Path:
    """A record that nobody holds, with `members`."""
    path = Path(place.path) / f"{PREFIX}{len(os.listdir(place.path))}"
    path.write_bytes(format_record(kin or Kin(*here(), members)))
    return path


def identity(pid: int) -> Identity:
    """Who `pid` is."""
    stat = process_stat(pid)
    assert stat is not None
    return Identity(pid, stat.start)


@contextmanager
def swept(place: Place) -> Iterator[tuple[RecordSweep, Loop]]:
    """A sweep of `place` that has begun."""
    loop, sweep = Loop(), RecordSweep([place])
    try:
        sweep.begin(loop)
        yield sweep, loop
    finally:
        sweep.close()
        loop.close()


def finish(place: Place) -> None:
    """Sweep until nothing is left to do, waiting as the guard does."""
    with swept(place) as (sweep, loop):
        limit = loop.now() + 10
        while not sweep.turn():
            assert loop.now() < limit
            assert loop.wait(limit) == {sweep}


@contextmanager
def orphan(*words: str) -> Iterator[Victim]:
    """A victim whose death this process reaps at once, as PID 1 does with orphans."""
    with running([victim(), *words]) as found:
        yield found


def test_kills_what_is_recorded(place: Place) -> None:
    """The recorded processes of a dead guard are killed, and the record is removed."""
    with orphan("stubborn", "term=ignore") as found:
        found.wait_start("ready")
        path = left_behind(place, identity(found.pid))
        finish(place)
        assert found.wait_end() == -signal.SIGKILL
        assert not path.exists()


def test_kills_what_is_below(place: Place) -> None:
    """Whoever a recorded process has brought forth since then goes with it."""
    with orphan("forks", "count=20") as found:
        found.wait_start("ready")
        with open(f"/proc/{found.pid}/task/{found.pid}/children", encoding="ascii") as file:
            children = [identity(int(pid)) for pid in file.read().split()]
        assert len(children) == 20
        left_behind(place, identity(found.pid))
        with swept(place):
            assert found.wait_end() == -signal.SIGKILL
        wait_until("the children's end", lambda: not any(map(lives, children)))


def lives(who: Identity) -> bool:
    """Whether `who` is neither gone nor a zombie."""
    stat = process_stat(who.pid)
    return stat is not None and stat.start == who.start and stat.state != "Z"


def test_spares_namesakes(place: Place) -> None:
    """A process that got a recorded number later is not killed; the record goes."""
    with orphan("hold") as found:
        who = identity(found.pid)
        path = left_behind(place, Identity(who.pid, who.start - 1))
        finish(place)
        assert not path.exists()
        assert lives(who)


def test_live_record_is_untouched(place: Place) -> None:
    """A record whose guard lives is neither read nor removed, whatever its pids."""
    with orphan("hold") as found:
        record = Record([place])
        record.write([identity(found.pid)])
        finish(place)
        assert lives(identity(found.pid))
        assert len(os.listdir(place.path)) == 1
        record.close()


def test_another_boot(place: Place) -> None:
    """A record from before the last boot is removed; its numbers mean nobody."""
    with orphan("hold") as found:
        who = identity(found.pid)
        path = left_behind(place, kin=Kin("0" * 36, here()[1], (who,)))
        finish(place)
        assert not path.exists()
        assert lives(who)


def test_another_pid_namespace(place: Place) -> None:
    """A record from a container is left to those who see its processes."""
    with orphan("hold") as found:
        who = identity(found.pid)
        path = left_behind(place, kin=Kin(here()[0], 1, (who,)))
        finish(place)
        assert path.exists()
        assert lives(who)


def test_our_own_run(place: Place) -> None:
    """A run that this process is itself part of is left alone."""
    path = left_behind(place, identity(os.getppid()))
    finish(place)
    assert path.exists()


def test_garbage_is_removed(place: Place) -> None:
    """A record that says nothing is removed, and kills nobody."""
    path = left_behind(place)
    path.write_bytes(b"\0garbage\n-1 -1\n0 0\n")
    finish(place)
    assert not path.exists()


def test_pid_numbers_of_no_process(place: Place) -> None:
    """Numbers that are no pids at all signal nobody: not 0, not beyond what the kernel has."""
    path = left_behind(place, Identity(0, 1), Identity(1 << 62, 1), Identity(4194304, 0))
    finish(place)
    assert not path.exists()


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory", "socket", "other name"])
def test_other_things_are_left_alone(place: Place, tmp_path: Path, kind: str) -> None:
    """What is no record of ours is not opened in a way that waits, and stays."""
    path = Path(place.path) / f"{PREFIX}thing"
    target = tmp_path / "target"
    target.write_text("precious")
    if kind == "symlink":
        path.symlink_to(target)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "socket":
        import socket

        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    else:
        path = Path(place.path) / "sentinel.json"
        path.write_text("{}")
    finish(place)
    assert path.exists() or path.is_symlink()
    assert target.read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make another user's file")
def test_another_users_record(place: Place) -> None:
    """A record that belongs to somebody else orders us nothing."""
    with orphan("hold") as found:
        path = left_behind(place, identity(found.pid))
        os.chown(path, NOBODY, NOBODY)
        finish(place)
        assert path.exists()
        assert lives(identity(found.pid))


def test_what_is_not_gone_waits_for_the_next_start(place: Place) -> None:
    """A sweep that is ended early leaves the record, and its lock, to the next one."""
    with orphan("hold") as found:
        path = left_behind(place, identity(found.pid))
        with swept(place):
            pass  # killed, but not yet seen to be gone
        assert path.exists()
        found.wait_end()
        finish(place)
        assert not path.exists()


def test_no_place_at_all(tmp_path: Path) -> None:
    """Where there is no runtime directory there is nothing to do, and none is made."""
    place = Place(str(tmp_path), "missing", private=False)
    finish(place)
    assert not os.path.exists(place.path)


def test_no_descriptor_is_left(place: Place) -> None:
    """A sweep closes what it opened, whatever it found."""
    with orphan("hold") as found:
        left_behind(place, identity(found.pid))
        left_behind(place, kin=Kin(here()[0], 1, ()))
        record = Record([place])
        before = len(os.listdir("/proc/self/fd"))
        finish(place)
        assert len(os.listdir("/proc/self/fd")) == before
        record.close()


def test_two_sweeps_at_once(place: Place) -> None:
    """Two guards that start together kill and remove once, without an error."""
    with orphan("hold") as found:
        path = left_behind(place, identity(found.pid))
        with swept(place), swept(place) as (second, _):
            assert second.turn()
        found.wait_end()
        finish(place)
        assert not path.exists()


def test_after_the_kill_of_a_real_record_keeper(place: Place) -> None:
    """The lock ends with a SIGKILLed keeper, even while a child of its lives on."""
    program = f"""
import os, subprocess, sys, time
from sentinel.linux.kinship import Identity
from sentinel.linux.process import process_stat
from sentinel.linux.runtime import Place
from sentinel.rss.record import Record
record = Record([Place({place.parent!r}, {place.name!r}, private=False)])
child = subprocess.Popen(["sleep", "60"])
record.write([Identity(child.pid, process_stat(child.pid).start)])
print(f"child pid={{child.pid}}", flush=True)
time.sleep(60)
"""
    with running([sys.executable, "-c", program]) as keeper:
        child = identity(int(keeper.wait_line("child")["pid"]))
        finish(place)
        assert lives(child)
        keeper.process.send_signal(signal.SIGKILL)
        keeper.wait_end()
        finish(place)
        assert not lives(child)
        assert os.listdir(place.path) == []

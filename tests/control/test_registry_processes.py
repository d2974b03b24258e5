"""The registry among real processes: other pid namespaces, killed guards, other users."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sentinel.control import neighbours
from sentinel.control.registry import find, free_name, live, sweep, wait_over, whereabouts
from sentinel.linux.runtime import Place
from tests.lab import ROOT

pytestmark = pytest.mark.native

LIMIT = 60.0
NOBODY = 65534
GUARD = """
import os, sys
from sentinel.control.registry import Entry, free_name, register, whereabouts
from sentinel.linux.runtime import Place
places = (Place(sys.argv[1], "sentinel", private=False),)
name = free_name("job", places)
entry = Entry(name, os.getpid(), os.getpid(), os.geteuid(), 1.0, *whereabouts(), "", "rss",
              1 << 20, None, "", "python3")
run = register(entry, places)
print(name, flush=True)
for word in sys.stdin:
    run.update(entry._replace(soft=int(word)))
    print("updated", flush=True)
run.close()
print("closed", flush=True)
sys.stdin = None
os.read(int(sys.argv[2]), 1)
"""


@pytest.fixture
def places(tmp_path: Path) -> tuple[Place, ...]:
    """Where the entries of a test are."""
    return (Place(str(tmp_path), "sentinel", private=False),)


class Guard:
    """A process that registers a run called job, and ends when told."""

    def __init__(self, place: Place, *before: str) -> None:
        """Start it and wait until it is registered."""
        self._stay, tell = os.pipe()
        self._tell = tell
        self.process = subprocess.Popen(
            [*before, sys.executable, "-c", GUARD, place.parent, str(self._stay)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            pass_fds=[self._stay],
        )
        self.name = self.heard()

    def heard(self) -> str:
        """Its next line; empty at its end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def update(self, soft: int) -> None:
        """Have it write another limit down."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{soft}\n")
        self.process.stdin.flush()
        assert self.heard() == "updated"

    def close_run(self) -> None:
        """Have it close its registration; the process stays."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def kill(self) -> None:
        """SIGKILL it, and what was started for it."""
        self.process.kill()
        self.process.wait(LIMIT)

    def end(self) -> None:
        """End it if it has not ended, and give everything back."""
        self.kill()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        os.close(self._stay)
        os.close(self._tell)


@contextmanager
def guard(place: Place, *before: str) -> Iterator[Guard]:
    """A guard for the time of a block."""
    started = Guard(place, *before)
    try:
        yield started
    finally:
        started.end()


def elsewhere() -> list[str]:
    """Words that start a command in a pid namespace of its own, as the same user."""
    words = ["unshare", "--pid", "--fork", "--kill-child"]
    return words if os.geteuid() == 0 else [*words, "--user", "--map-current-user"]


def test_a_killed_guard_is_found_no_more(places: tuple[Place, ...]) -> None:
    """After SIGKILL its run is not listed, its name is free, and a sweep removes the file."""
    with guard(places[0]) as one:
        assert [entry.pid for entry in live(places)] == [one.process.pid]
        one.kill()
        assert live(places) == []
        assert os.listdir(places[0].path) == ["run-job.entry"]
        sweep(places)
        assert os.listdir(places[0].path) == []


def test_a_run_in_another_pid_namespace_is_alive(places: tuple[Place, ...]) -> None:
    """Its pid means nothing here, so it is found by its lock, and never swept."""
    with guard(places[0], *elsewhere()) as one:
        (entry,) = live(places)
        assert entry.pid == 1
        assert entry.boot_id == whereabouts()[0]
        assert entry.pid_namespace not in (None, whereabouts()[1])
        sweep(places)
        assert live(places) == [entry]
        assert free_name("job", places) == "job-2"
        one.kill()
        wait_over(entry, places)
        sweep(places)
        assert find("job", places) is None


def test_a_look_from_another_pid_namespace(places: tuple[Place, ...]) -> None:
    """A run of ours is seen, and not swept, from where its pid means nothing."""
    look = (
        "import sys\n"
        "from sentinel.control.registry import live, sweep\n"
        "from sentinel.linux.runtime import Place\n"
        "places = (Place(sys.argv[1], 'sentinel', private=False),)\n"
        "sweep(places)\n"
        "print(*(entry.name for entry in live(places)))\n"
    )
    with guard(places[0]):
        words = [*elsewhere(), sys.executable, "-c", look, places[0].parent]
        done = subprocess.run(words, capture_output=True, cwd=ROOT, timeout=LIMIT, check=True)
        assert done.stdout == b"job\n"
        assert [entry.name for entry in live(places)] == ["job"]


def test_two_processes_get_two_names(places: tuple[Place, ...]) -> None:
    """Names are unique among the processes of a user."""
    with guard(places[0]) as one, guard(places[0]) as two:
        assert sorted((one.name, two.name)) == ["job", "job-2"]


@pytest.mark.parametrize("end", [Guard.kill, Guard.close_run])
def test_the_end_of_a_run_is_waited_for(places: tuple[Place, ...], end: object) -> None:
    """The wait ends when the run does, by SIGKILL or by itself; an update is no end."""
    with guard(places[0]) as one:
        (entry,) = live(places)
        waiter = threading.Thread(target=wait_over, args=(entry, places), daemon=True)
        waiter.start()
        for soft in range(20):
            one.update(soft)
        assert waiter.is_alive()
        assert callable(end)
        end(one)
        waiter.join(LIMIT)
        assert not waiter.is_alive()
        wait_over(entry, places)


def test_everybodys_runs_are_looked_for_where_they_must_be(tmp_path: Path) -> None:
    """Of directories with a user's number only those count that are that user's, and closed."""
    uid = os.geteuid()
    run, tmp = tmp_path / "run", tmp_path / "tmp"
    (run / str(uid)).mkdir(parents=True)
    tmp.mkdir()
    (run / str(uid) / "sentinel").mkdir(mode=0o700)
    (tmp / f"sentinel-{uid}").mkdir(mode=0o700)
    (tmp / f"sentinel-{uid + 1}").mkdir(mode=0o700)  # not of whom it says
    (tmp / "sentinel-x").mkdir()
    (tmp / str(uid)).mkdir()
    (run / "link").symlink_to(run / str(uid))
    found = neighbours.everybody(((str(run), "sentinel"), (str(tmp), "")))
    paths = [(directory.uid, directory.path) for directory in found]
    for directory in found:
        directory.close()
    assert paths == [(uid, f"{run}/{uid}/sentinel"), (uid, f"{tmp}/sentinel-{uid}")]
    os.chmod(tmp / f"sentinel-{uid}", 0o755)
    (run / str(uid) / "sentinel").rename(run / "moved")
    (run / str(uid) / "sentinel").symlink_to(run / "moved")
    before = len(os.listdir("/proc/self/fd"))
    assert neighbours.everybody(((str(run), "sentinel"), (str(tmp), ""))) == []
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's run needs root")
def test_root_finds_another_users_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is listed with the uid of its directory, and not among root's own."""
    place = Place(str(tmp_path), f"sentinel-{NOBODY}", private=False)
    monkeypatch.setattr(neighbours, "EVERYBODY", ((str(tmp_path), ""),))
    with guard(Place(str(tmp_path), "sentinel", private=False)):
        os.rename(tmp_path / "sentinel", place.path)
        for path in (place.path, f"{place.path}/run-job.entry"):
            os.chown(path, NOBODY, NOBODY)
        (entry,) = live(uid=NOBODY)
        assert (entry.name, entry.uid) == ("job", NOBODY)
        assert live(uid=NOBODY + 1) == []

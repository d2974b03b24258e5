"""A run's part in metrics, in the guard's loop: with exporters that live, die and never come."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from sentinel.linux.locks import try_lock
from sentinel.linux.loop import Loop
from sentinel.linux.runtime import Place
from sentinel.metrics.attendant import (
    AGAIN_AFTER,
    HEALTHY,
    MOST_FAILURES,
    START_AFTER,
    Exporters,
    MetricsAttendant,
)
from sentinel.metrics.past import PastRuns
from sentinel.metrics.seat import Seat, knock, leave, take_seat
from sentinel.metrics.wish import Wish
from sentinel.model.errors import SentinelError
from sentinel.model.outcome import Ledger, Moment, Verdict
from sentinel.model.status import Actions
from tests.cli.exporters import free_port
from tests.control.stage import OUTCOME, STATUS, FakeRun
from tests.metrics.trees import make_cgroup

RUN = FakeRun()
EMPTIED = Moment(20.0, "emptied")


class FakeExporters(Exporters):
    """Exporters in this process: a seat that is taken, and left when they are ended."""

    def __init__(self) -> None:
        super().__init__(())
        self.seats: list[Seat] = []
        self.connections: list[socket.socket] = []
        self.refuses: SentinelError | None = None

    def start(self, wish: Wish, places: Sequence[Place]) -> bool:
        """Sit down."""
        if self.refuses is not None:
            raise self.refuses
        seat = take_seat(wish, places)
        if seat is not None:
            self.seats.append(seat)
        return seat is not None

    def accept(self) -> socket.socket:
        """The run that is at the door."""
        with socket.socket(fileno=os.dup(self.seats[-1].door)) as door:
            self.connections.append(door.accept()[0])
        return self.connections[-1]

    def end(self) -> None:
        """End as a SIGKILL would: every descriptor closed, the door left standing."""
        for connection in self.connections:
            connection.close()
        self.connections.clear()
        if self.seats:
            self.seats.pop().close()


class Scene:
    """One attendant with its loop, and time as the test likes it."""

    def __init__(self, places: Sequence[Place], stack: ExitStack) -> None:
        self.places = places
        self.wish = Wish(free_port(), linger=3.0)
        self.loop = Loop()
        stack.callback(self.loop.close)
        self.exporters = FakeExporters()
        stack.callback(self.exporters.end)
        self.lines: list[str] = []
        self.attendant = MetricsAttendant(self.wish, self.exporters, self.lines.append, places)
        stack.callback(self.attendant.close)
        self.attendant.begin(self.loop, [RUN], 100.0)

    def due(self) -> float:
        """Let what is due happen; when it was."""
        due = self.attendant.deadline()
        assert due is not None
        self.attendant.turn(due, set())
        return due

    def wake(self, now: float) -> None:
        """Let what is ready happen."""
        self.attendant.turn(now, self.loop.wait(None))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """With a runtime directory of its own."""
    with ExitStack() as stack:
        yield Scene((Place(str(tmp_path), "runtime", private=True),), stack)


def test_an_exporter_is_started_once_after_half_a_second_and_then_nothing_is_due(
    scene: Scene,
) -> None:
    """No timer is armed while it lives: the guard sleeps."""
    assert scene.attendant.deadline() == 100.0 + START_AFTER
    scene.attendant.turn(100.2, set())
    assert scene.exporters.seats == []
    scene.due()
    assert len(scene.exporters.seats) == 1
    assert scene.attendant.deadline() is None
    assert scene.exporters.accept().recv(100) == b"linger 3.0\n"


def test_a_run_that_is_over_starts_nothing(scene: Scene) -> None:
    """Not even when its end was noticed late."""
    scene.attendant.ended(RUN, OUTCOME, 101.0)
    scene.attendant.turn(101.0, set())
    assert scene.exporters.seats == []
    assert scene.attendant.deadline() is None


def test_an_exporter_that_is_there_is_kept_company(scene: Scene) -> None:
    """The second run finds the first one's."""
    assert scene.exporters.start(scene.wish, scene.places)
    scene.due()
    assert len(scene.exporters.seats) == 1
    assert scene.exporters.accept().recv(100) == b"linger 3.0\n"


def test_the_end_of_an_exporter_is_an_event_and_has_a_successor(scene: Scene) -> None:
    """At once after a healthy life; the door that the dead one left is no hindrance."""
    scene.due()
    scene.exporters.accept()
    scene.exporters.end()
    now = 100.5 + HEALTHY
    scene.wake(now)
    assert scene.attendant.deadline() is None
    assert len(scene.exporters.seats) == 1
    assert scene.exporters.accept().recv(100) == b"linger 3.0\n"


def test_exporters_that_die_at_once_are_given_up(scene: Scene) -> None:
    """Later and later, then with one line, once."""
    waits = []
    for _ in range(MOST_FAILURES):
        now = scene.due()
        scene.exporters.accept()
        scene.exporters.end()
        scene.wake(now)
        waits.append(round((scene.attendant.deadline() or 0) - now, 3))
    assert waits == [AGAIN_AFTER * 4**number for number in range(1, MOST_FAILURES + 1)]
    scene.due()
    assert scene.attendant.deadline() is None
    (line,) = scene.lines
    assert line == (
        f"the exporter for port {scene.wish.port} ended 5 times at once; see why: "
        "sentinel metrics; the run goes on without metrics"
    )


def test_a_seat_where_nobody_opens_yet_is_looked_at_again(scene: Scene) -> None:
    """The lock is held and the door is not there: somebody sits down, or gets up."""
    os.makedirs(scene.places[0].path, 0o700)
    network = os.stat("/proc/self/ns/net").st_ino
    lock = f"{scene.places[0].path}/exporter-{network}-{scene.wish.port}.lock"
    with open(lock, "wb") as held:
        assert try_lock(held.fileno())
        assert scene.due() == 100.0 + START_AFTER
        assert scene.attendant.deadline() == 100.0 + START_AFTER + AGAIN_AFTER
    scene.due()
    assert len(scene.exporters.seats) == 1


def test_what_cannot_be_started_is_one_line(scene: Scene) -> None:
    """And is not tried again."""
    scene.exporters.refuses = SentinelError("no metrics", "do this")
    scene.due()
    assert scene.lines == ["no metrics; do this; the run goes on without metrics"]
    assert scene.attendant.deadline() is None


def test_a_last_word_is_left_whether_or_not_somebody_reads(scene: Scene, tmp_path: Path) -> None:
    """Counters as read between the last process and the leaf's removal; the highest anon seen."""
    leaf = make_cgroup(tmp_path / "leaf")
    run = FakeRun("short")
    run.status_now = run.status_now._replace(leaf=str(leaf))
    reading = STATUS.reading
    scene.attendant.told(run, Moment(1.0, "soft crossed"), reading, 101.0)
    scene.attendant.told(run, EMPTIED, None, 102.0)
    (leaf / "memory.events").write_text("oom_kill 99\n")
    ledger = Ledger(peak_current=5, high_ignored=7)
    scene.attendant.ended(run, OUTCOME._replace(name="short", ledger=ledger), 103.0)
    of = PastRuns(scene.places).read()["short"]
    assert of.verdict == Verdict.STOPPED.value
    assert of.includes(run.pid, STATUS.started)
    assert of.values["sentinel_memory_events_total"][("oom_kill",)] == 1
    assert of.values["sentinel_memory_peak_bytes"] == {(): 64 << 20}
    assert of.values["sentinel_memory_high_ignored_total"] == {("reclaimable",): 7}
    assert of.values["sentinel_memory_anon_peak_bytes"] == {(): 64 << 20}
    assert of.values["sentinel_actions_total"][("sigterm",)] == 2
    assert scene.exporters.seats == []


def test_a_run_without_a_leaf_leaves_what_its_guard_knows(scene: Scene) -> None:
    """The sampled peak; nothing that only a kernel could count."""
    run = FakeRun("plain")
    run.status_now = run.status_now._replace(leaf="")
    scene.attendant.told(run, EMPTIED, None, 102.0)
    scene.attendant.ended(run, OUTCOME._replace(ledger=Ledger(peak_current=5)), 103.0)
    of = PastRuns(scene.places).read()["plain"]
    assert of.values["sentinel_memory_peak_bytes"] == {(): 5}
    assert "sentinel_memory_events_total" not in of.values
    assert "sentinel_memory_anon_peak_bytes" not in of.values


def test_a_word_that_cannot_be_left_is_one_line(scene: Scene) -> None:
    """The run's end is not the place to fail."""
    with open(scene.places[0].path, "wb"):
        pass
    scene.attendant.ended(RUN, OUTCOME, 103.0)
    (line,) = scene.lines
    assert line.startswith("the run's last metrics are lost: cannot open ")


def test_all_is_given_back(scene: Scene) -> None:
    """Also when it never came to be needed."""
    before = len(os.listdir("/proc/self/fd"))
    scene.due()
    scene.exporters.accept()
    scene.attendant.close()
    assert scene.attendant.deadline() is None
    assert scene.exporters.connections[0].recv(100) == b"linger 3.0\n"
    assert scene.exporters.connections[0].recv(100) == b""
    scene.exporters.end()
    assert len(os.listdir("/proc/self/fd")) == before


def test_who_leaves_the_seat_leaves_nothing_behind(scene: Scene) -> None:
    """The door and the lock are gone, and the next one can sit down."""
    seat = take_seat(scene.wish, scene.places)
    assert seat is not None
    assert take_seat(scene.wish, scene.places) is None
    assert sorted(os.listdir(scene.places[0].path)) == sorted(
        f"{os.path.basename(seat.path).removesuffix('.door')}.{kind}" for kind in ("door", "lock")
    )
    leave(seat)
    os.close(seat.listener)
    os.close(seat.door)
    assert os.listdir(scene.places[0].path) == []
    assert knock(scene.wish, scene.places) is None
    again = take_seat(scene.wish, scene.places)
    assert again is not None
    again.close()


def test_two_ports_have_two_seats(scene: Scene) -> None:
    """One for each port."""
    seats = [take_seat(scene.wish._replace(port=free_port()), scene.places) for _ in range(2)]
    for seat in seats:
        assert seat is not None
        seat.close()


def test_actions_are_those_of_the_end() -> None:
    """The fake run answers as a guard does."""
    assert RUN.actions() == Actions({"lift": 1, "sigterm": 2}, (0.03,), (1.5,))

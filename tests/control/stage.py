"""A control server on real sockets in the guard's real loop, with a run that is only said to be.

Everything happens in the test's one thread: `Stage.turn` is one wake-up of the guard, and the
clients are sockets of the test's own that never block.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from sentinel.control.server import ControlServer, Settings
from sentinel.linux.loop import Loop
from sentinel.linux.runtime import Place
from sentinel.model.outcome import Exited, Ledger, Moment, Outcome, Verdict
from sentinel.model.request import Reply, Request
from sentinel.model.snapshot import Composition, Reading
from sentinel.model.spec import Limits, Observation, StopPlan
from sentinel.model.status import Actions, Pressure, RunStatus, Tally

MIB = 1 << 20
ANYBODY_OF_OURS = Observation()
PATIENCE = 60.0
"""Seconds after which a test gives up."""

STATUS = RunStatus(
    name="worker",
    state="watching",
    verdict="",
    backend="cgroup",
    pid=4242,
    leaf="/sys/fs/cgroup/sentinel-run-worker",
    command="python3",
    started=1700000000.5,
    elapsed=12.5,
    reading=Reading(
        at=0.0,
        current=100 * MIB,
        working_set=80 * MIB,
        anon=64 * MIB,
        composition=Composition(64 * MIB, 20 * MIB, 0, 8 * MIB, 0, 8 * MIB),
        tasks=3,
    ),
    tally=Tally(120 * MIB, 90 * MIB, 7, 5),
    limits=Limits(soft=200 * MIB, hard=300 * MIB),
    stop=StopPlan(),
    growth=10.0 * MIB,
    pressure=Pressure(1.5, 0.25),
)


class FakeRun:
    """A run that remembers what it was asked for."""

    def __init__(self, name: str = "worker") -> None:
        self.status_now = STATUS._replace(name=name)
        self.requests: list[tuple[Request, str]] = []
        self.reply = Reply("so be it")
        self.pids: tuple[int, ...] = (os.getpid(),)
        self.looks = 0

    @property
    def name(self) -> str:
        """How it is called."""
        return self.status_now.name

    @property
    def pid(self) -> int:
        """The main process."""
        return self.status_now.pid

    def status(self, now: float) -> RunStatus:
        """What the test says it is like."""
        assert now > 0
        self.looks += 1
        return self.status_now

    def actions(self) -> Actions:
        """A few."""
        return Actions({"lift": 1, "sigterm": 2}, (0.03,), (1.5,))

    def members(self) -> tuple[int, ...]:
        """Who the test says is in it."""
        return self.pids

    def timeline(self) -> tuple[Moment, ...]:
        """Nothing happened."""
        return ()

    def request(self, request: Request, asker: str, now: float) -> Reply:
        """Remember it, and answer what the test says."""
        assert now > 0
        self.requests.append((request, asker))
        return self.reply


OUTCOME = Outcome(
    name="worker",
    backend="cgroup",
    verdict=Verdict.STOPPED,
    command_status=Exited(0),
    limits=STATUS.limits,
    ledger=Ledger(),
    elapsed=20.0,
    asked_by="uid 0",
)


class Stage:
    """One guard's server, and those who talk to it."""

    def __init__(
        self,
        directory: str,
        *names: str,
        observation: Observation = ANYBODY_OF_OURS,
        common: str = "",
    ) -> None:
        self.directory = directory
        self.common = common or os.path.join(directory, "common.socket")
        self.runs = [FakeRun(name) for name in names or ("worker",)]
        self.heard: list[str] = []
        self.loop = Loop()
        settings = Settings(observation, self.common, (place(directory),))
        self.server = ControlServer(settings, self.hear, lambda *_: "metrics\n")
        self.server.begin(self.loop, self.runs, self.loop.now())

    def hear(self, text: str) -> None:
        """What the user of the run is told."""
        self.heard.append(text)

    @property
    def run(self) -> FakeRun:
        """The first run."""
        return self.runs[0]

    def path(self, name: str = "worker") -> str:
        """Where a run's own socket is."""
        return os.path.join(self.directory, "runtime", f"{name}.{os.getpid()}.sock")

    def turn(self, patience: float = 0.0) -> set[object]:
        """One wake-up, or none within `patience` seconds."""
        until = self.loop.now() + patience
        due = self.server.deadline()
        ready = self.loop.wait(until if due is None else min(due, until))
        self.server.turn(self.loop.now(), ready)
        return ready

    def until(self, what: str, condition: Callable[[], object]) -> None:
        """Turn until `condition()` holds. Raises AssertionError after PATIENCE."""
        limit = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < limit, f"waited {PATIENCE} s for {what}"
            self.turn(0.01)

    def connect(self, path: str = "") -> socket.socket:
        """A client that never blocks; at a run's own socket, or `path`."""
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.setblocking(False)
        client.connect(path or self.path(self.run.name))
        return client

    def say(self, data: bytes, path: str = "", *, half_close: bool = False) -> bytes:
        """Send `data` and return all that comes back until the other side closes."""
        with self.connect(path) as client:
            client.send(data)
            if half_close:
                client.shutdown(socket.SHUT_WR)
            return self.answer(client)

    def ask(self, line: str, path: str = "") -> str:
        """Ask one line; the answer."""
        return self.say(line.encode() + b"\n", path).decode()

    def answer(self, client: socket.socket) -> bytes:
        """All that comes until the other side closes."""
        parts: list[bytes] = []

        def ended() -> bool:
            while data := received(client):
                parts.append(data)
            return data == b""

        self.until("the end of the answer", ended)
        return b"".join(parts)

    def __enter__(self) -> Self:
        """Begun already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """End of the guard."""
        self.server.close()
        self.loop.close()


def received(client: socket.socket) -> bytes | None:
    """What is there for `client`; None: nothing yet; empty: the other side has closed."""
    try:
        return client.recv(1 << 16)
    except BlockingIOError:
        return None
    except ConnectionResetError:
        return b""


def place(directory: str) -> Place:
    """A runtime directory of a test's own."""
    return Place(directory, "runtime", private=True)


@contextmanager
def stages(directory: str, *observations: Observation) -> Iterator[Sequence[Stage]]:
    """Guards of one user side by side, called run0, run1..."""
    made: list[Stage] = []
    try:
        for number, observation in enumerate(observations):
            made.append(Stage(directory, f"run{number}", observation=observation))
        yield made
    finally:
        for stage in made:
            stage.close()

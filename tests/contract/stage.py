"""A run on a stage: the enclosure turned as a guardian turns it, with no policy of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

from sentinel.enclosure import Enclosure
from sentinel.linux.loop import Loop
from sentinel.linux.process import Child, process_stat, reap
from sentinel.linux.signals import SignalDesk
from sentinel.linux.spawn import spawn
from sentinel.model.events import Event
from sentinel.model.outcome import CommandStatus, Ledger
from sentinel.model.spec import Command
from tests.victims.build import victim

PATIENCE_SECONDS = 120.0
"""An emulated CPU, beside others, needs its time for a hundred forks."""


class NoDesk:
    """Stands in for the signals, which a test process keeps to itself."""

    def restore_for_command(self) -> None:
        """Nothing was taken over."""


class Heard(NamedTuple):
    """A signal that a victim recorded, and the how manieth of its kind it was."""

    name: str
    number: int


class Stage:
    """One enclosure and its run."""

    def __init__(self, enclosure: Enclosure, folder: Path) -> None:
        self.enclosure = enclosure
        self.folder = folder
        self.loop = Loop()
        self.ended: dict[int, CommandStatus] = {}
        self.events: list[Event] = []
        self.news: list[tuple[str, str]] = []
        self.main: Child | None = None
        self._again: float | None = None
        self._closed = False

    def start(self, *argv: str) -> Child:
        """Start the main process inside, its standard output in the file `out`."""
        folder = os.fsencode(self.folder)
        words = tuple(os.fsencode(word) for word in argv)
        shell = (b"sh", b"-c", b'exec "$@" >"$0"', folder + b"/out", *words)
        environment = tuple(b"%s=%s" % pair for pair in os.environb.items())
        command = Command(shell, environment)
        self.main = spawn(command, self.enclosure.enter, cast("SignalDesk", NoDesk()), 9)
        self.enclosure.adopt(self.main, self.loop, self.loop.now())
        return self.main

    def script(self, text: str) -> Child:
        """Start a shell script; `$V` is the program of the victims."""
        return self.start("sh", "-c", f"cd {self.folder} && V={victim()}\n{text}")

    def turn(self, seconds: float = 0.02) -> None:
        """Wait once, look when it is due, reap."""
        until = self.loop.now() + seconds
        ready = self.loop.wait(until if self._again is None else min(until, self._again))
        now = self.loop.now()
        if self.enclosure in ready or (self._again is not None and self._again <= now):
            look = self.enclosure.look(now)
            self._again = look.again
            self.events += look.events
            self.news += look.news
        if self.enclosure in ready:
            time.sleep(0.001)  # end of file stays ready; a guardian would be done with it
        self.reap()

    def look_now(self) -> None:
        """Have the next turn look, as a guardian does after a change."""
        self._again = self.loop.now()

    def reap(self) -> None:
        """Take in every child that ended or stopped."""
        for report in reap():
            if report.status is not None:
                self.ended[report.pid] = report.status
                self.enclosure.reaped(report.pid)
                if self.main is not None and report.pid == self.main.pid:
                    self.main.status = report.status

    def until(self, what: str, condition: Callable[[], object]) -> None:
        """Turn until `condition()`.

        :raises AssertionError: it was not within PATIENCE_SECONDS.
        """
        limit = self.loop.now() + PATIENCE_SECONDS
        while not condition():
            if self.loop.now() > limit:
                raise AssertionError(f"no {what}: {self.enclosure.survivors()}")
            self.turn()

    def ready(self, *names: str) -> None:
        """Turn until the victims that write to the files `names` have said that they are ready."""
        for name in names or ("out",):
            self.until(f"ready in {name}", partial(self._is_ready, self.folder / name))

    def _is_ready(self, path: Path) -> bool:
        return path.exists() and "ready" in path.read_text()

    def recorded(self, *names: str) -> None:
        """Turn until each of these `signals` victims has recorded a signal and its CONT."""
        self.until("two signals each", lambda: all(len(self.heard(name)) == 2 for name in names))

    def emptied(self) -> None:
        """Kill, as often as the policy would, until nobody is left."""
        limit = self.loop.now() + PATIENCE_SECONDS
        while not self.enclosure.is_empty():
            if self.loop.now() > limit:
                raise AssertionError(f"not empty: {self.enclosure.survivors()}")
            self.enclosure.kill()
            again = self.loop.now() + 0.5
            while not self.enclosure.is_empty() and self.loop.now() < again:
                self.turn()
        self.turn(0)

    def heard(self, name: str) -> list[Heard]:
        """What the `signals` victim that writes to `name` has recorded, its children aside."""
        lines = [line.split() for line in (self.folder / name).read_text().splitlines()]
        words = [
            dict(word.split("=", 1) for word in rest) for kind, *rest in lines if kind == "signal"
        ]
        heard = [Heard(pair["name"], int(pair["count"])) for pair in words]
        return [one for one in heard if one.name != "CHLD"]

    def living(self) -> set[int]:
        """Pids inside that live."""
        return {survivor.pid for survivor in self.enclosure.survivors()}

    def state(self, pid: int) -> str:
        """The state of a process, empty when it is gone."""
        stat = process_stat(pid)
        return "" if stat is None else stat.state

    def close(self) -> Ledger:
        """Close the enclosure."""
        self._closed = True
        return self.enclosure.close()

    def end(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if not self._closed:
            self.emptied()
            self.close()
        self.loop.close()

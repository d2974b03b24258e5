"""A victim in an RssEnclosure, turned as a guardian would, without its policy."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sentinel.linux.clock import monotonic
from sentinel.linux.loop import Loop
from sentinel.linux.process import Child
from sentinel.model.events import Event, Happening
from sentinel.model.outcome import Ledger
from sentinel.model.spec import Count, Limits
from sentinel.rss.enclosure import RssEnclosure
from tests.victims.running import Victim

PATIENCE_SECONDS = 120.0
MIB = 1 << 20


class Held:
    """A run: its enclosure, its main process, and what the enclosure told so far."""

    def __init__(self, enclosure: RssEnclosure, argv: Sequence[str]) -> None:
        self.enclosure = enclosure
        self.loop = Loop()
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        self.main = Child(self.process.pid)
        self.victim = Victim(self.process)
        self.events: list[Event] = []
        self.looks = 0
        self.ledger: Ledger | None = None
        self._again: float | None = None
        enclosure.adopt(self.main, self.loop, self.loop.now())

    def turn(self, until: float) -> None:
        """Wait for the next look, at most until `until`; look, and reap."""
        deadlines = [until] if self._again is None else [until, self._again]
        ready = self.loop.wait(min(deadlines))
        now = self.loop.now()
        if self.enclosure in ready or (self._again is not None and now >= self._again):
            look = self.enclosure.look(now)
            self.looks += 1
            self.events += look.events
            self._again = look.again
        self.reap()

    def reap(self) -> None:
        """Take in the children that have ended."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
            except ChildProcessError:
                return
            if found is None:
                return
            if found.si_pid == self.process.pid:
                self.process.returncode = 0
            self.enclosure.reaped(found.si_pid)

    def until(self, what: str, condition: Callable[[], object]) -> None:
        """Turn until `condition()`, at most for PATIENCE_SECONDS."""
        limit = monotonic() + PATIENCE_SECONDS
        while not condition():
            if monotonic() >= limit:
                raise AssertionError(f"waited for {what}; told {self.events}")
            self.turn(min(limit, monotonic() + 0.02))

    def told(self, what: Happening) -> Event | None:
        """The first event of that kind."""
        return next((event for event in self.events if event.what is what), None)

    def ready(self) -> None:
        """Turn until the victim has said that it is ready."""

        def said() -> bool:
            self.victim.read(0)
            return any(line.split()[0] == "ready" for line in self.victim.lines)

        self.until("ready", said)

    def close(self) -> Ledger:
        """Close the enclosure, once."""
        if self.ledger is None:
            self.ledger = self.enclosure.close()
        return self.ledger


@contextmanager
def held(
    argv: Sequence[str],
    soft: int,
    hard: int | None = None,
    counted: Count = Count.WORKINGSET,
    *,
    surveys: bool = True,
) -> Iterator[Held]:
    """Run `argv` in an enclosure with limits in bytes; at the end nobody of it is left."""
    run = Held(RssEnclosure(Limits(soft, hard, counted=counted), surveys=surveys), argv)
    try:
        yield run
    finally:
        run.enclosure.kill()
        run.until("the end", run.enclosure.is_empty)
        run.close()
        run.loop.close()
        if run.process.returncode is None:
            run.process.send_signal(signal.SIGKILL)
            run.process.wait()
        assert run.process.stdout is not None
        run.process.stdout.close()

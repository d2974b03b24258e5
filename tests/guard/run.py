"""A guardian with real processes and a virtual clock.

Its memory is scripted, its seconds pass when the test says so, and what it signals and kills is
really there (the fake enclosure is held to the contract of the real ones, tests/contract).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, cast

from sentinel.guard.guardian import Guardian, Launch
from sentinel.linux.loop import Loop
from sentinel.linux.process import Child, reap
from sentinel.linux.signals import Received, SignalDesk
from sentinel.linux.spawn import spawn
from sentinel.model.events import Event
from sentinel.model.outcome import Moment, Outcome
from sentinel.model.snapshot import Reading
from sentinel.model.spec import Command, Limits, RunSpec, StopPlan
from tests.contract.fake import FakeEnclosure
from tests.contract.stage import NoDesk
from tests.victims.running import wait_until

MIB = 1 << 20
LIMITS = Limits(soft=64 * MIB, hard=96 * MIB)
BEGAN = 1000.0
"""Virtual seconds; nothing may depend on the clock's zero."""


def spec_of(*argv: str, preserve: bool = False, **stop: Any) -> RunSpec:
    """A run of `argv` under a stop plan."""
    environment = tuple(b"%s=%s" % pair for pair in os.environb.items())
    command = Command(tuple(os.fsencode(word) for word in argv), environment)
    return RunSpec("run", command, LIMITS, StopPlan(**stop), preserve_status=preserve)


def process_spawn(command: Command, enter: Callable[[], None], death_signal: int) -> Child:
    """Start for real, without taking over this process's signals."""
    return spawn(command, enter, cast("SignalDesk", NoDesk()), death_signal)


class Run:
    """One guardian, its fake enclosure, and everything that it noted."""

    def __init__(
        self,
        *argv: str,
        script: Sequence[tuple[float, Event]] = (),
        immortal: bool = False,
        preserve: bool = False,
        **stop: Any,
    ) -> None:
        self.now = BEGAN
        self.moments: list[Moment] = []
        self.loop = Loop()
        self.enclosure = FakeEnclosure(script, immortal=immortal)
        self.guardian = Guardian(
            Launch(spec_of(*argv, preserve=preserve, **stop), self.enclosure),
            self.loop,
            self._listen,
        )
        self.hear: Callable[[Moment], None] = lambda _: None
        self._scripted = bool(script)
        self._child: Child | None = None

    def _listen(self, _spec: RunSpec, moment: Moment, _reading: Reading | None) -> None:
        self.moments.append(moment)
        self.hear(moment)

    def start(self) -> Run:
        """Start the command; take the first look of a scripted enclosure."""
        self.guardian.start(self._spawn, lambda: self.now)
        if self._scripted:
            self.turn(self.enclosure)
        return self

    def _spawn(self, command: Command, enter: Callable[[], None], death_signal: int) -> Child:
        self._child = process_spawn(command, enter, death_signal)
        return self._child

    @property
    def main(self) -> Child:
        """The main process."""
        assert self._child is not None
        return self._child

    @property
    def outcome(self) -> Outcome:
        """The outcome, which must be known by now."""
        assert self.guardian.outcome is not None, self.story()
        return self.guardian.outcome

    def turn(self, *ready: object) -> None:
        """Turn at this instant of the virtual clock."""
        self.guardian.turn(self.now, set(ready))

    def advance(self, seconds: float) -> None:
        """Let time pass, turning at each deadline on the way."""
        until = self.now + seconds
        while (due := self.guardian.deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.turn()
        self.now = until

    def reaped(self) -> None:
        """Take in what has become of our children."""
        for report in reap():
            self.guardian.child_changed(report)

    def ends(self) -> None:
        """Wait, in real time, for the main process's end, and turn."""

        def ended() -> bool:
            self.reaped()
            return self.main.status is not None

        wait_until("the main process's end", ended)
        self.turn()

    def empties(self) -> None:
        """Wait, in real time, for the last member's end, and turn."""

        def empty() -> bool:
            self.reaped()
            return self.enclosure.is_empty()

        wait_until("an empty enclosure", empty)
        self.reaped()
        self.turn(self.enclosure)

    def take(self, number: int, *, by_kernel: bool = False) -> None:
        """Send Sentinel a signal, from pid 1 or from the kernel."""
        pid, uid = (0, 0) if by_kernel else (1, 4242)
        self.guardian.take(Received(number, pid, uid, by_kernel=by_kernel), self.now)

    def story(self) -> list[str]:
        """The timeline, as `second what: detail`; the pid left out."""
        return [
            f"{moment.at:g} {moment.what}" + (f": {moment.detail}" if moment.detail else "")
            for moment in self.moments
            if moment.what != "started"
        ]

    def orders(self) -> list[str]:
        """What was ordered of the enclosure, looking and reaping aside."""
        skipped = ("look", "reaped", "adopt", "enter")
        return [done for done in self.enclosure.done if not done.startswith(skipped)]

    def end(self) -> None:
        """Leave nobody behind."""
        self.enclosure.refusals.clear()
        main = self._child
        if not self.guardian.done:
            self.enclosure.kill()
            self.enclosure.close()
        if main is not None and main.status is None and main.send(9):
            os.waitpid(main.pid, 0)
        self.loop.close()

"""Keeps attendants in the guard's loop, and the guard safe from them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sentinel.guard.attendant import Attendant
from sentinel.linux.loop import Loop
from sentinel.model.outcome import Moment, Outcome
from sentinel.model.snapshot import Reading
from sentinel.model.status import Run

ATTEND_AFTER = 0.02
"""Seconds that runs go on unattended: who ends sooner does not wait for imports at its end."""


class Attend(NamedTuple):
    """How attendants come: `make` is called when the commands have gone on for `after` seconds.

    So imports cost no launch. `after` 0: also for a run that ends at once.
    """

    make: Callable[[], Sequence[Attendant]] = tuple
    after: float = ATTEND_AFTER


UNATTENDED = Attend()


class Attendance:
    """All attendants. One that raises is closed, told about once, and never called again."""

    def __init__(self, loop: Loop, complain: Callable[[str], None]) -> None:
        """`complain` tells people one line."""
        self._loop = loop
        self._complain = complain
        self._attendants: list[Attendant] = []

    def begin(self, attend: Attend, find_runs: Callable[[], Sequence[Run]]) -> None:
        """Make and begin the attendants, who are told the runs."""
        try:
            runs, attendants = find_runs(), list(attend.make())
        except Exception as error:  # noqa: BLE001 - told; the run goes on without observers
            self._complain(_told("the observers", error))
            return
        for attendant in attendants:
            self._attendants.append(attendant)
            self._call(attendant, lambda one: one.begin(self._loop, runs, self._loop.now()))

    def deadline(self) -> float | None:
        """When one of them wants to be turned at the latest."""
        times: list[float] = []

        def ask(attendant: Attendant) -> None:
            due = attendant.deadline()
            if due is not None:
                times.append(due)

        self._all(ask)
        return min(times, default=None)

    def turn(self, now: float, ready: set[object]) -> None:
        """Let each take in what is ready and due."""
        self._all(lambda one: one.turn(now, ready))

    def told(self, run: Run, moment: Moment, reading: Reading | None) -> None:
        """Pass on a moment of `run`."""
        now = self._loop.now()
        self._all(lambda one: one.told(run, moment, reading, now))

    def ended(self, run: Run, outcome: Outcome) -> None:
        """Pass on the end of `run`."""
        now = self._loop.now()
        self._all(lambda one: one.ended(run, outcome, now))

    def close(self) -> None:
        """Close them all."""
        attendants, self._attendants = self._attendants, []
        for attendant in attendants:
            self._close(attendant)

    def _all(self, ask: Callable[[Attendant], None]) -> None:
        for attendant in list(self._attendants):
            self._call(attendant, ask)

    def _call(self, attendant: Attendant, ask: Callable[[Attendant], None]) -> None:
        try:
            ask(attendant)
        except Exception as error:  # noqa: BLE001 - told, and left behind
            if attendant in self._attendants:
                self._attendants.remove(attendant)
            self._complain(_told(type(attendant).__name__, error))
            self._close(attendant)

    def _close(self, attendant: Attendant) -> None:
        try:
            attendant.close()
        except Exception as error:  # noqa: BLE001 - told
            self._complain(_told(type(attendant).__name__, error))


def _told(who: str, error: Exception) -> str:
    return f"{who} failed, the run goes on without: {type(error).__name__}: {error}"

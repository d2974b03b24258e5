"""An attendant who comes later: what is dear to import must not delay the end of a short run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sentinel.guard.attendant import Attendant
from sentinel.linux.loop import Loop
from sentinel.model.outcome import Moment, Outcome
from sentinel.model.snapshot import Reading
from sentinel.model.status import Run


class Later:
    """Makes and begins the attendant meant when the runs have gone on for a while."""

    def __init__(self, make: Callable[[], Attendant], after: float) -> None:
        """`after` is in seconds."""
        self._make = make
        self._after = after
        self._due: float | None = None
        self._begin: Callable[[Attendant, float], None] | None = None
        self._meant: Attendant | None = None

    def begin(self, loop: Loop, runs: Sequence[Run], now: float) -> None:
        """Wait."""
        self._begin = lambda meant, at: meant.begin(loop, runs, at)
        self._due = now + self._after

    def turn(self, now: float, ready: set[object]) -> None:
        """Begin when it is time, and pass on what is ready."""
        if self._due is not None and self._due <= now and self._begin is not None:
            self._due = None
            self._meant = self._make()
            self._begin(self._meant, now)
        if self._meant is not None:
            self._meant.turn(now, ready)

    def deadline(self) -> float | None:
        """When to begin, or what the attendant itself waits for."""
        return self._due if self._meant is None else self._meant.deadline()

    def told(self, run: Run, moment: Moment, reading: Reading | None, now: float) -> None:
        """Pass on a moment."""
        if self._meant is not None:
            self._meant.told(run, moment, reading, now)

    def ended(self, run: Run, outcome: Outcome, now: float) -> None:
        """Pass on the end."""
        if self._meant is not None:
            self._meant.ended(run, outcome, now)

    def close(self) -> None:
        """Close the attendant, if there ever was one."""
        self._due = None
        if self._meant is not None:
            self._meant.close()

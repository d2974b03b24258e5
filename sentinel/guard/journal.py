"""What happened to a run, in order, told to a listener as it happens."""

from __future__ import annotations

from collections.abc import Callable

from sentinel.model.outcome import Moment
from sentinel.model.snapshot import Reading
from sentinel.model.spec import RunSpec

Listener = Callable[[RunSpec, Moment, Reading | None], None]
"""Called for each moment with the reading that belongs to it. Must be quick and not raise."""

_MOST = 1000
"""Moments kept: a `--for` run that crosses for weeks must not grow the guard."""


class Journal:
    """The timeline of one run; times are seconds since exec."""

    def __init__(self, spec: RunSpec, listener: Listener) -> None:
        """Begin empty; `begin` tells when the exec was."""
        self.spec = spec
        self._listener = listener
        self._moments: list[Moment] = []
        self.began = 0.0

    def begin(self, now: float) -> None:
        """Count from here: the command was executed."""
        self.began = now

    def note(self, now: float, what: str, detail: str = "", reading: Reading | None = None) -> None:
        """Write down `what` happened at `now`."""
        current = None if reading is None else reading.current
        moment = Moment(round(now - self.began, 6), what, detail, current)
        if len(self._moments) < _MOST:
            self._moments.append(moment)
        self._listener(self.spec, moment, reading)

    def timeline(self) -> tuple[Moment, ...]:
        """All moments kept so far."""
        return tuple(self._moments)

"""How much of the guard's time observers may have: a bit at once, and little of it for long.

The guard must stay one who mostly sleeps, or the scheduler lets it wait behind those who flood
it: a process that always runs gets its turn after everybody else's.
"""

from __future__ import annotations

from collections.abc import Callable

TURN = 0.001
"""Seconds of work in one turn; then the guardians look first."""
SHARE = 0.25
"""Of one CPU, in the long run."""
SAVED = 0.02
"""Seconds that a quiet time saves up: a person's questions never wait."""
DEAREST = 0.002
"""Seconds that a turn is charged at most: what it waited for the CPU is not its doing."""


class Allowance:
    """A purse of seconds that fills with the time and is emptied by work."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with all that can be saved. `clock` is monotonic, in seconds."""
        self._clock = clock
        self._purse = SAVED
        self._filled = clock()
        self._begun = self._filled
        self._until = self._filled

    def begin(self) -> None:
        """A turn begins."""
        self._begun = self._clock()
        self._purse = min(SAVED, self._purse + (self._begun - self._filled) * SHARE)
        self._filled = self._begun
        self._until = self._begun + TURN

    def is_left(self) -> bool:
        """Whether the turn may go on."""
        return self._clock() < self._until

    def end(self) -> float | None:
        """The turn is over. When the next may begin (clock's seconds); None: at once."""
        now = self._clock()
        self._purse -= min(now - self._begun, DEAREST)
        if self._purse > 0:
            return None
        return now + (TURN - self._purse) / SHARE

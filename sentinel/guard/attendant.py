"""Those who attend a run without guarding it: the control socket, metrics, a recorder.

They live in the guard's one loop and may not hurt it: they never block, and one that raises is
told once and left behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sentinel.linux.loop import Loop
from sentinel.model.outcome import Moment, Outcome
from sentinel.model.snapshot import Reading
from sentinel.model.status import Run


class Attendant(Protocol):
    """Begun when the commands have started; every method is called in the guard's thread."""

    def begin(self, loop: Loop, runs: Sequence[Run], now: float) -> None:
        """Open what is needed; descriptors are watched with any tokens of one's own."""

    def turn(self, now: float, ready: set[object]) -> None:
        """Take in what is ready and what is due. Called after the guardians, once per wake-up."""

    def deadline(self) -> float | None:
        """When `turn` must be called at the latest; None while only descriptors matter."""

    def told(self, run: Run, moment: Moment, reading: Reading | None, now: float) -> None:
        """A moment of `run`'s timeline, as it happens."""

    def ended(self, run: Run, outcome: Outcome, now: float) -> None:
        """`run` is over and counted; its leaf is gone."""

    def close(self) -> None:
        """Give everything back; called once, also after an exception of one's own."""

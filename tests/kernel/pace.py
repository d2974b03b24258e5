"""The pace of the machine: a promise in seconds is Sentinel's, not that of who else wants the CPU.

While a run is measured a thread of the test does what a guard on alert does: sleep for 10 ms,
read a file of the kernel, again and again. On a quiet machine four such rounds, which is what a
guard needs to be sure, take little more than 40 ms; where they take longer, so does a guard.
"""

from __future__ import annotations

import statistics
import threading
import time
from types import TracebackType
from typing import Self

ROUND_SECONDS = 0.010
ROUNDS = 4
NOMINAL = ROUND_SECONDS * ROUNDS
"""Four rounds on a machine where nothing else takes time, seconds."""


class Pace:
    """Measures from the beginning of its block to the end."""

    def __init__(self) -> None:
        self._rounds: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_round)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _go_round(self) -> None:
        began = time.monotonic()
        while not self._over.wait(ROUND_SECONDS):
            with open("/proc/self/statm", encoding="ascii") as file:
                file.read()
            ended = time.monotonic()
            self._rounds.append(ended - began)
            began = ended

    def _rows(self) -> list[float]:
        """What each four rounds in a row took, seconds."""
        return [
            sum(self._rounds[at : at + ROUNDS]) for at in range(len(self._rounds) - ROUNDS + 1)
        ] or [NOMINAL]

    @property
    def usual(self) -> float:
        """The median of four rounds, seconds."""
        return statistics.median(self._rows())

    @property
    def worst(self) -> float:
        """The slowest four rounds, seconds."""
        return max(self._rows())

"""A run's part in metrics: it has an exporter started, stays in touch, and leaves a last word.

In the guard's one loop. Nothing happens on the launch path: half a second after the command has
started the exporter is looked for, once; a connection to it is then the only thing that is held,
and its end the only thing that is waited for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from sentinel.linux.clock import wall
from sentinel.linux.loop import Loop
from sentinel.linux.runtime import Place
from sentinel.metrics.lastword import LAST_MOMENTS, LastWord, bequeath, final_texts, plain
from sentinel.metrics.wish import Wish
from sentinel.model.errors import SentinelError
from sentinel.model.outcome import Moment, Outcome
from sentinel.model.snapshot import Reading
from sentinel.model.status import Run, RunStatus

START_AFTER = 0.5
"""Seconds that a run must have lived before an exporter is started for it."""
AGAIN_AFTER = 0.1
"""Seconds between two looks at a seat where somebody is just sitting down or getting up."""
HEALTHY = 5.0
"""Seconds that an exporter must have lived for its end to be no failure to start."""
MOST_FAILURES = 5
_ENOUGH = 256


class Exporters:
    """How an exporter is started: a program that is handed a seat."""

    def __init__(self, program: Sequence[str], spare: Callable[[int], None] | None = None) -> None:
        """`program` is argv without the seat; `spare` keeps a child of ours out of the run."""
        self._program = program
        self._spare = spare

    def start(self, wish: Wish, places: Sequence[Place]) -> bool:
        """Start one; False when somebody sits there already. Raises SentinelError, OSError."""
        from sentinel.linux.daemon import start_daemon
        from sentinel.metrics.seat import take_seat

        seat = take_seat(wish, places)
        if seat is None:
            return False
        try:
            words = (str(seat.lock), str(seat.listener), str(seat.door), seat.path)
            argv = [*self._program, "--linger", str(wish.linger), "--seat", *words]
            pid = start_daemon(argv, {seat.lock, seat.listener, seat.door})
        finally:
            seat.close()
        if self._spare is not None:
            self._spare(pid)
        return True


class MetricsAttendant:
    """Attends every run of one guard (see guard/attendant.py)."""

    def __init__(
        self,
        wish: Wish,
        exporters: Exporters,
        say: Callable[[str], None],
        places: Sequence[Place] = (),
    ) -> None:
        """`say` tells people one line."""
        self._wish = wish
        self._exporters = exporters
        self._say = say
        self._places = places
        self._loop: Loop | None = None
        self._connection: int | None = None
        self._due: float | None = None
        self._since = 0.0
        self._living: set[str] = set()
        self._failures = 0
        self._anon_peaks: dict[str, int] = {}
        self._last: dict[str, tuple[RunStatus, dict[str, str]]] = {}

    def begin(self, loop: Loop, runs: Sequence[Run], now: float) -> None:
        """Look for an exporter in a while."""
        self._living = {run.name for run in runs}
        self._loop = loop
        self._due = now + START_AFTER

    def deadline(self) -> float | None:
        """When the exporter is to be looked for."""
        return self._due

    def turn(self, now: float, ready: set[object]) -> None:
        """Look for the exporter when it is time, or when it has ended."""
        if self in ready and self._connection is not None:
            self._listen(now)
        if self._due is not None and self._due <= now:
            self._due = None
            try:
                self._engage(now)
            except (SentinelError, OSError) as error:
                self._say(f"{error}; the run goes on without metrics")

    def _listen(self, now: float) -> None:
        """It never says a word: what can be read is its end."""
        try:
            if self._connection is not None and os.read(self._connection, _ENOUGH):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._disconnect()
        self._failures = 0 if now - self._since >= HEALTHY else self._failures + 1
        self._due = now + (AGAIN_AFTER * 4**self._failures if self._failures else 0.0)

    def _engage(self, now: float) -> None:
        """Connect to the exporter, which is started when there is none."""
        if self._failures >= MOST_FAILURES:
            raise SentinelError(
                f"the exporter for port {self._wish.port} ended {self._failures} times at once",
                "see why: sentinel metrics",
            )
        from sentinel.metrics.seat import knock

        connection = knock(self._wish, self._places)
        if connection is None and self._exporters.start(self._wish, self._places):
            connection = knock(self._wish, self._places)
        if connection is None or self._loop is None:
            self._due = now + AGAIN_AFTER
            return
        self._connection, self._since = connection, now
        os.write(connection, f"linger {self._wish.linger}\n".encode())
        self._loop.watch(connection, self)

    def told(self, run: Run, moment: Moment, reading: Reading | None, now: float) -> None:
        """Keep the highest anon that was seen, and read the counters when there is nobody left."""
        if reading is not None and reading.anon is not None:
            peak = max(self._anon_peaks.get(run.name, 0), reading.anon)
            self._anon_peaks[run.name] = peak
        if moment.what in LAST_MOMENTS and run.name not in self._last:
            status = run.status(now)
            self._last[run.name] = (status, final_texts(status.leaf))

    def ended(self, run: Run, outcome: Outcome, now: float) -> None:
        """Leave the run's last word for the exporter that is there, or for the next one."""
        self._living.discard(run.name)
        if not self._living:
            self._due = None  # a last run that took its time to be noticed starts nothing
        found = self._last.pop(run.name) if run.name in self._last else None
        status, texts = found or (run.status(now), {})
        actions = run.actions()
        word = LastWord(
            name=run.name,
            pid=status.pid,
            started=status.started,
            ended=wall(),
            backend=outcome.backend,
            command=status.command,
            verdict=outcome.verdict.value,
            anon_peak=self._anon_peaks.pop(run.name, None),
            values=plain(outcome.ledger),
            counts=dict(actions.counts),
            reactions=actions.reactions,
            terminations=actions.terminations,
            texts=texts,
        )
        lost = bequeath(word, self._places)
        if lost:
            self._say(lost)

    def _disconnect(self) -> None:
        if self._connection is not None:
            if self._loop is not None:
                self._loop.forget(self._connection)
            os.close(self._connection)
            self._connection = None

    def close(self) -> None:
        """Part from the exporter, which may then leave."""
        self._due = None
        self._disconnect()

"""All that a picture shows, and nothing else: the view is a function of this and of the size."""

from __future__ import annotations

from typing import NamedTuple

from sentinel.model.spec import Count
from sentinel.model.status import RunStatus


class Size(NamedTuple):
    """Of a terminal, in characters."""

    columns: int
    rows: int


class Sample(NamedTuple):
    """What counted towards the limit (bytes) at `at`, seconds since the command's exec."""

    at: float
    used: int


class Process(NamedTuple):
    """A process of a run. `rss` in bytes; None: nobody knows."""

    pid: int
    parent: int
    name: str
    state: str
    rss: int | None
    threads: int | None


class Happened(NamedTuple):
    """A line of a run's events; `at` in seconds since the command's exec, `current` in bytes."""

    at: float
    what: str
    detail: str = ""
    current: int | None = None


class Watched(NamedTuple):
    """One run as the dashboard knows it.

    `key` tells runs apart, those of other pid namespaces too, and `pid` is the command's number.
    `status` is the last answer, None before there was one; `used` is what counts towards the
    limit, bytes; None: unknown. `why_silent` tells why there is no newer answer, `ended` with
    which verdict the run is over; both are empty otherwise.
    """

    key: str
    name: str
    pid: int
    uid: int
    socket: str
    status: RunStatus | None = None
    used: int | None = None
    history: tuple[Sample, ...] = ()
    events: tuple[Happened, ...] = ()
    why_silent: str = ""
    ended: str = ""

    @property
    def growth(self) -> float | None:
        """Bytes per second over the last samples, else what the run itself says; None: unknown.

        Of a frozen run it is not judged.
        """
        if self.status is not None and self.status.frozen:
            return None
        if len(self.history) > 1:
            last = self.history[-1]
            first = next(sample for sample in self.history if last.at - sample.at <= GROWTH_SECONDS)
            if last.at - first.at >= 1:
                return (last.used - first.used) / (last.at - first.at)
        return None if self.status is None else self.status.growth

    @property
    def time_to_limit(self) -> float | None:
        """Seconds until the soft limit at the present growth; None when it does not grow."""
        growth, now = self.growth, self.used
        if self.status is None or now is None or growth is None or growth <= 0:
            return None
        return max(0.0, (self.status.limits.soft - now) / growth)


GROWTH_SECONDS = 5.0
"""How far back growth looks: a leak shows at once, a single allocation soon no more."""


class Estimate:
    """What counts towards the limit, from one answer to the next.

    A family's working set is surveyed now and then only (rss backend), its resident memory at
    every question. What the two differ by is trusted until the next survey, as the guard does.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._surveyed: int | None = None
        self._gap = 0
        self.is_bound = False  # the last one was but an upper bound: there was no survey yet

    def take(self, status: RunStatus) -> int | None:
        """Bytes at this answer; None: unknown."""
        reading, counted = status.reading, status.limits.counted
        if reading is None or counted is Count.TOTAL:
            return None if reading is None else reading.current
        part = reading.anon if counted is Count.ANON else reading.working_set
        self.is_bound = part is None and status.backend == SURVEYED
        if part is None:
            return None if counted is Count.ANON else reading.current
        if status.backend != SURVEYED:
            return part
        if part != self._surveyed:
            self._surveyed, self._gap = part, max(0, reading.current - part)
        return max(0, reading.current - self._gap)


SURVEYED = "rss"
"""The backend that does not know the working set at every moment."""


class Board(NamedTuple):
    """What is to be seen. `processes` are those of the selected run, largest first.

    `question` waits for y or n; `message` says what came of the last key. `pane` says what the
    command's output is kept in; None where there is no such pane. `whole`: nothing of it is lost.
    """

    runs: tuple[Watched, ...] = ()
    selected: int = 0
    processes: tuple[Process, ...] = ()
    omitted: int = 0
    question: str = ""
    message: str = ""
    help: bool = False
    everyone: bool = False
    pane: str | None = None
    whole: bool = True

    @property
    def run(self) -> Watched | None:
        """The selected run; None when there is none."""
        return self.runs[self.selected] if 0 <= self.selected < len(self.runs) else None

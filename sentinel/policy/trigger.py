"""The trigger rule of the cgroup backend: memory over the limit that reclaim cannot free.

memory.events `high` alone says nothing: 26 of 29 innocent workloads raise it, up to 1 400
times a second. This rule, on readings of memory.current and memory.stat, had no false alarm
on them and missed none of 15 leaks (tests/recordings replays them).

Three clauses, each with its own patience: the working set is over; memory.current is over by a
margin; what is on no file list is over although reclaim has had time, so that what it calls
reclaimable is pinned (a leaf whose text is reclaimed and read again never reaches the margin).
"""

from enum import Enum
from typing import NamedTuple

from sentinel.model.snapshot import Reading
from sentinel.model.spec import Count
from sentinel.model.units import MIB

OVER_FOR = 0.030
"""Seconds that the working set must stay over the limit: LRU counters jump for one reading."""
PLAINLY_OVER = 0.01
"""Of the limit, beyond the slack: no innocent reading was ever so high (0.6 % at most), so the
second in a row decides. A hundred tasks leak on together while each is throttled alone."""
PINNED_FOR = 0.200
"""Seconds that memory.current must stay over its margin: pinned slab hides as reclaimable."""
UNSHRUNK_FOR = 1.0
"""Seconds that all but the file pages must stay over the limit: as long as reclaim was tried and
the slab that it might free did not go. Innocents never get there (0.99 of the limit at most);
without it, inodes pinned by a leaker whose own text is all the page cache that is left hold the
leaf at 1.00-1.02 of its limit, braked and unsignalled, for ever (tests/recordings, inodes-cold).
"""
PINNED_FRACTION = 0.03
PINNED_CAP = 8 * MIB
"""The margin is capped: 3 % over takes 0.5 s of throttled leaking at 200M, but 19 s at 8G."""
SLACK_PER_CPU = 256 << 10
"""Bytes that memory.current over-counts for each CPU that ran the leaf (per-CPU charge stock)."""
SLACK_FRACTION = 0.02
NEAR_FRACTION = 0.97
QUIET_AFTER = 1.0
"""Seconds without a new `high` event that end an alert."""
FASTEST = 0.010
SLOWEST_ALERT = 0.200
SLOWEST_LIFTED = 1.0
CLEARED_FRACTION = 0.97


class Wire(Enum):
    """What the trigger wants of memory.high on its own account."""

    LIFT = "lift"
    ARM = "arm"


class Finding(NamedTuple):
    """What one reading means. `again`: seconds until the next one, None: when woken."""

    crossed: bool = False
    cleared: bool = False
    wire: Wire | None = None
    again: float | None = None
    first_event: float | None = None
    first_over: float | None = None


class _Phase(Enum):
    QUIET = "quiet"
    ALERT = "alert"
    LIFTED = "lifted"
    PRESSED = "pressed"


def slack(limit: int, cpus: int, tasks: int | None) -> int:
    """Bytes by which a reading may be too high: the per-CPU stock, at most 2 % of the limit.

    `tasks` None, how many there are is not known: every CPU may hold some.
    """
    holders = cpus if tasks is None else min(cpus, max(tasks, 1))
    return min(SLACK_PER_CPU * holders, int(limit * SLACK_FRACTION))


class _Since:
    """How long a condition has held on every reading."""

    def __init__(self, needed: float) -> None:
        self._needed = needed
        self._first: float | None = None

    def hold(self, now: float, *, condition: bool) -> bool:
        if not condition:
            self._first = None
            return False
        if self._first is None:
            self._first = now
        return now - self._first >= self._needed

    @property
    def first(self) -> float | None:
        return self._first


def _held(reading: Reading) -> int:
    """Bytes that pinned memory can have at most; page cache comes and goes with the wire."""
    return reading.current if reading.non_file is None else reading.non_file


class Trigger:
    """Judges readings one by one. Holds no more than the last reading and four instants."""

    def __init__(self, limit: int, cpus: int, count: Count = Count.WORKINGSET) -> None:
        """`limit` in bytes; `cpus` that the machine has online; `count`: what is compared."""
        self._limit = limit
        self._cpus = cpus
        self._count = count
        self._pressed_by_pinned = False
        self._last_fresh = 0.0
        self._alerted: float | None = None
        self._enter(_Phase.QUIET)

    def _enter(self, phase: _Phase) -> None:
        """Begin `phase`; nothing that was timed or seen to grow before it counts in it."""
        self._phase = phase
        self._last: tuple[float, int] | None = None
        self._backoff = FASTEST
        self._counted_over = _Since(OVER_FOR)
        self._braked_over = _Since(OVER_FOR)
        self._pinned = _Since(PINNED_FOR)
        self._unshrunk = _Since(UNSHRUNK_FOR)

    @property
    def quiet(self) -> bool:
        """Whether only a new `high` event can change anything."""
        return self._phase is _Phase.QUIET

    def observe(self, reading: Reading, *, fresh: bool, sure: bool = False) -> Finding:
        """Judge `reading`; `fresh`: memory.events counted a new `high` since the last one.

        `sure`: the caller knows that what it counts is no passing error of the LRU counters.
        """
        now = reading.at
        if fresh:
            self._last_fresh = now
            if self._phase is _Phase.QUIET:
                self._alerted = now
                self._enter(_Phase.ALERT)
        if self._phase is _Phase.QUIET:
            return Finding()
        if self._phase is _Phase.PRESSED:
            return self._await_clear(reading)
        return self._judge(reading, sure=sure)

    def _judge(self, reading: Reading, *, sure: bool) -> Finding:
        now, counted = reading.at, self._counted(reading)
        margin = slack(self._limit, self._cpus, reading.tasks)
        unreclaimable = reading.working_set or 0
        again_over = self._counted_over.first is not None
        over = sure or counted >= self._limit + margin
        crossed = self._counted_over.hold(now, condition=over) or sure
        crossed |= again_over and counted >= self._limit * (1 + PLAINLY_OVER) + margin
        braked = self._braked_over.hold(now, condition=unreclaimable >= self._limit + margin)
        ceiling = self._limit + min(int(self._limit * PINNED_FRACTION), PINNED_CAP) + margin
        far = self._pinned.hold(now, condition=reading.current > ceiling)
        unshrunk = self._unshrunk.hold(
            now, condition=(reading.non_file or 0) >= self._limit + margin
        )
        pinned = far or unshrunk
        if self._count is Count.TOTAL and self._last_fresh == now:
            crossed = True  # the kernel's own word that memory.current went over
        if crossed or (pinned and self._count is not Count.ANON):
            by = self._counted_over if crossed else self._pinned if far else self._unshrunk
            self._pressed_by_pinned = not crossed
            self._enter(_Phase.PRESSED)
            return Finding(
                crossed=True, again=FASTEST, first_event=self._alerted, first_over=by.first
            )
        if self._phase is _Phase.LIFTED:
            return self._await_release(reading, counted)
        if braked or pinned:  # only what is not counted brakes the command
            self._enter(_Phase.LIFTED)
            return Finding(wire=Wire.LIFT, again=FASTEST)
        if now - self._last_fresh >= QUIET_AFTER and not self._pending():
            self._enter(_Phase.QUIET)
            return Finding()
        return Finding(again=self._interval(now, counted, SLOWEST_ALERT))

    def _await_release(self, reading: Reading, counted: int) -> Finding:
        """The wire is lifted for the sake of what is not counted: arm it when that has shrunk.

        Page cache that filled the room meanwhile is no reason to wait: arming reclaims it. Other
        memory that is in no working set, pinned slab, would only be braked again.
        """
        floor = self._limit * CLEARED_FRACTION
        pinned = _held(reading) > self._limit
        if max(reading.working_set or 0, counted) <= floor and not pinned:
            self._enter(_Phase.QUIET)
            return Finding(wire=Wire.ARM)
        return Finding(again=self._interval(reading.at, counted, SLOWEST_LIFTED))

    def _await_clear(self, reading: Reading) -> Finding:
        """The crossing was told; tell when the counted part is 3 % under the limit again."""
        counted = self._counted(reading)
        judged = _held(reading) if self._pressed_by_pinned else counted
        if judged <= self._limit * CLEARED_FRACTION:
            self._enter(_Phase.QUIET)
            return Finding(cleared=True)
        again, self._backoff = self._backoff, min(self._backoff * 2, SLOWEST_LIFTED)
        return Finding(again=again)

    def _counted(self, reading: Reading) -> int:
        if self._count is Count.ANON:
            return reading.anon or 0
        if self._count is Count.TOTAL:
            return reading.current
        return reading.working_set or 0

    def _pending(self) -> bool:
        conditions = (self._counted_over, self._braked_over, self._pinned, self._unshrunk)
        return any(condition.first is not None for condition in conditions)

    def _interval(self, now: float, counted: int, slowest: float) -> float:
        """Seconds to the next reading: half the head-room at the growth seen, backing off."""
        last, self._last = self._last, (now, counted)
        near = counted >= self._limit * NEAR_FRACTION or self._pending()
        if self._counted_over.first is not None or (near and self._phase is _Phase.ALERT):
            self._backoff = FASTEST
            return FASTEST
        longest, self._backoff = self._backoff, min(self._backoff * 2, slowest)
        growth = 0.0 if last is None else (counted - last[1]) / max(now - last[0], 1e-6)
        if growth <= 0:
            return longest
        return min(max((self._limit - counted) / growth / 2, FASTEST), longest)

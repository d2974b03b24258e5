"""A leaf as the kernel models one, and the enclosure's way of looking at it, in virtual time.

The throttle is the kernel's own: 64 pages charged over memory.high cost a sleep of 64*o^2
seconds, o being the fraction over, at most 2 s and none under 10 ms (calculate_high_delay,
mm/memcontrol.c).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from sentinel.model.snapshot import Composition, Reading
from sentinel.policy.trigger import Finding, Trigger, Wire

BATCH = 64 * 4096
WAKE_GAP = 0.020
"""Seconds: the kernel tells of events at most so often at HZ=100 (cgroup_file_notify)."""
TICK = 0.002


class Crossing(NamedTuple):
    """What the trigger said, with the reading that made it speak."""

    finding: Finding
    reading: Reading


class Watcher:
    """Looks as the cgroup enclosure does: woken by events while quiet, by the clock otherwise."""

    def __init__(self, trigger: Trigger) -> None:
        self.trigger = trigger
        self.readings: list[float] = []
        self.said: list[Crossing] = []
        self._seen = 0
        self._due: float | None = None

    def offer(self, reading: Reading, high: int) -> Finding | None:
        """A moment at which the leaf is so; the finding if the watcher looked."""
        fresh = high > self._seen
        woken = self._due is None and fresh
        elapsed = self._due is not None and reading.at >= self._due
        if not (woken or elapsed):
            return None
        self._seen = high
        self.readings.append(reading.at)
        finding = self.trigger.observe(reading, fresh=fresh)
        self._due = None if finding.again is None else reading.at + finding.again
        if finding.crossed or finding.cleared or finding.wire is not None:
            self.said.append(Crossing(finding, reading))
        return finding

    def crossing(self) -> Crossing | None:
        """The first crossing, if there was one."""
        return next((said for said in self.said if said.finding.crossed), None)


class Leaf:
    """Anonymous memory that stays, page cache that reclaim takes, and the wire between."""

    def __init__(self, limit: int, wall: int) -> None:
        self.limit = limit
        self.wall = wall
        self.armed = True
        self.anon = 0
        self.shmem = 0
        self.cache = 0
        self.high_events = 0
        self.now = 0.0
        self._asleep_until = 0.0
        self._told_at = -WAKE_GAP
        self._told = 0

    @property
    def current(self) -> int:
        """memory.current, bytes."""
        return self.anon + self.shmem + self.cache

    @property
    def asleep(self) -> bool:
        """Whether the throttle has put the program to sleep."""
        return self.now < self._asleep_until

    def charge(self, *, anon: int = 0, shmem: int = 0, cache: int = 0) -> None:
        """Charge bytes batch by batch until they are all there or the throttle says sleep."""
        while (anon or shmem or cache) and not self.asleep:
            for kind, wanted in (("anon", anon), ("shmem", shmem), ("cache", cache)):
                setattr(self, kind, getattr(self, kind) + min(wanted, BATCH))
            anon, shmem = max(0, anon - BATCH), max(0, shmem - BATCH)
            cache = max(0, cache - BATCH)
            self._reclaim()

    def _reclaim(self) -> None:
        self.cache -= min(self.cache, max(0, self.current - self.wall))
        if not self.armed or self.current <= self.limit:
            return
        self.high_events += 1
        self.cache -= min(self.cache, self.current - self.limit)
        over = max(0, self.current - self.limit) / self.limit
        sleep = min(64 * over * over, 2.0)
        if sleep >= 0.010:
            self._asleep_until = self.now + sleep

    def reading(self) -> Reading:
        """A reading of this moment, the working set being what reclaim cannot take."""
        parts = Composition(self.anon, self.cache, self.shmem, 0, 0, 0)
        held = self.anon + self.shmem
        return Reading(self.now, self.current, held, self.anon, parts, non_file=held)

    def told(self) -> int:
        """The event counter as the watcher can know it: the kernel tells in lumps."""
        if self.now - self._told_at >= WAKE_GAP:
            self._told_at, self._told = self.now, self.high_events
        return self._told


Program = Callable[[Leaf], None]
"""What the program does in one tick of virtual time."""


def run(leaf: Leaf, watcher: Watcher, program: Program, seconds: float) -> Watcher:
    """Let `program` live in `leaf` under `watcher` until it is crossed or time is over."""
    for tick in range(round(seconds / TICK)):
        leaf.now = tick * TICK
        if not leaf.asleep:
            program(leaf)
        finding = watcher.offer(leaf.reading(), leaf.told())
        if finding is not None and finding.wire is not None:
            leaf.armed = finding.wire is Wire.ARM
            leaf.charge()
        if finding is not None and finding.crossed:
            break
    return watcher


def replay(trigger: Trigger, moments: Iterable[tuple[Reading, int]]) -> Watcher:
    """Show recorded moments, readings with the event counter, to a watcher until it crosses."""
    watcher = Watcher(trigger)
    for reading, high in moments:
        watcher.offer(reading, high)
        if watcher.crossing() is not None:
            break
    return watcher

"""Ladder step 4, a cgroup that can only be read: an ordinary container watched, not held.

There is no leaf and no wire. memory.current and memory.stat of the container's own cgroup are
sampled, adaptively, and what it held before the command started is taken off. The trigger rule is
the one of the leaf; its clauses about what reclaim could not free have no say, because nothing
reclaims at our limit here: page cache grows up to the container's own. What is over by the
counters of its kinds, too, needs no second reading. Who belongs to the run,
and how it is asked and killed, is the business of another enclosure, the crew.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from sentinel.cgroup import files
from sentinel.cgroup.behalf import OnBehalf
from sentinel.cgroup.container import Share, counted
from sentinel.cgroup.ledger import Ancestry
from sentinel.cgroup.tree import Cgroup
from sentinel.enclosure import Enclosure, Look, Process, Waiter
from sentinel.linux.clock import worked
from sentinel.model.errors import KernelFileError, SentinelError
from sentinel.model.events import Event, Happening
from sentinel.model.outcome import CounterDelta, Ledger, Survivor
from sentinel.model.snapshot import Reading
from sentinel.model.spec import Count, Limits
from sentinel.model.status import Pressure, Tally
from sentinel.policy.oom import decided_above
from sentinel.policy.pace import Pace
from sentinel.policy.trigger import Trigger

RETRY_AFTER = 1.0
"""Seconds between two looks at memory that cannot be read."""


class Observer:
    """One run in a container that is watched as a whole."""

    backend = "cgroup-ro"
    where = ""

    def __init__(
        self, crew: Enclosure, cgroup: Cgroup, limits: Limits, clock: Callable[[], float]
    ) -> None:
        """Own `cgroup`, and read what it holds before the command. Raises KernelFileError."""
        self.unenforced = crew.unenforced
        self._crew = crew
        self._cgroup = cgroup
        self._limits = limits
        self._ancestry = Ancestry(cgroup.path)
        self._share = Share(cgroup, limits, clock())
        self._clock = clock
        self._trigger = Trigger(limits.soft, os.cpu_count() or 1, limits.counted)
        self._pace = Pace()
        self._due = 0.0
        self._over = self._blind = self._told = False
        self._peaks = (0, 0)

    def enter(self) -> None:
        """Join the crew: the cgroup cannot be chosen."""
        self._crew.enter()

    def spare(self, pid: int) -> None:
        """Have the crew leave it out."""
        self._crew.spare(pid)

    def adopt(self, main: Process, waiter: Waiter, now: float) -> None:
        """Begin to sample; the crew's first wake-up is ours."""
        self._crew.adopt(main, OnBehalf(waiter, self), now)

    def look(self, now: float) -> Look:
        """Let the crew look after the family, and judge the memory when that is due."""
        look = self._crew.look(now)
        if self._over:
            return look
        if now < self._due:
            return look._replace(again=_sooner(look.again, self._due))
        judged = self._judge(now)
        again = _sooner(look.again, judged.again)
        return look._replace(events=(*look.events, *judged.events), again=again)

    def _judge(self, now: float) -> Look:
        began, before = self._clock(), worked()
        try:
            reading = self._reading(now)
        except KernelFileError as error:
            return self._blinded(now, error)
        held = reading.working_set or 0
        hard = self._limits.hard
        if hard is not None and held >= hard:
            self._over = True
            why = "it went over the hard limit in a cgroup that cannot hold it"
            return Look((Event(Happening.HARD_CROSSED, reading, why),))
        firm = self._share.firmly(reading, self._limits.counted)
        events, again = self._pull_trigger(reading, firm)
        rooms = [] if self._told else [self._limits.soft - firm]
        rooms += [] if hard is None else [hard - held]
        # Time in which somebody else had the CPU is no reason to look more rarely.
        cost = min(self._clock() - began, worked() - before)
        pace = self._pace.next(now, max(firm, held), min(rooms, default=None), cost)
        again = _sooner(again, pace)
        self._due = now + (again or 0.0)
        return Look(events, self._due)

    def _pull_trigger(self, reading: Reading, firm: int) -> tuple[tuple[Event, ...], float | None]:
        """What the rule says; being over the limit stands for the wire's event."""
        judged, soft = reading, self._limits.soft
        if self._limits.counted is not Count.TOTAL:
            judged = reading._replace(current=reading.working_set or 0)
        fresh = counted(reading, self._limits.counted) >= soft
        finding = self._trigger.observe(judged, fresh=fresh, sure=firm > soft)
        if finding.crossed:
            self._told = True
            crossing = Event(
                Happening.SOFT_CROSSED,
                reading,
                first_event=finding.first_event,
                first_over=finding.first_over,
            )
            return (crossing,), finding.again
        if finding.cleared:
            self._told = False
            return (Event(Happening.SOFT_CLEARED, reading),), finding.again
        return (), finding.again

    def _reading(self, now: float) -> Reading:
        """The run's memory, kept if it is a peak. Raises KernelFileError."""
        reading = self._share.read(now)
        held = reading.working_set or 0
        self._peaks = (max(self._peaks[0], reading.current), max(self._peaks[1], held))
        return reading

    def _blinded(self, now: float, error: KernelFileError) -> Look:
        """The run goes on. It is told once, and tried again: a lack of memory may pass."""
        told, self._blind = self._blind, True
        self._due = now + RETRY_AFTER
        return Look(() if told else (Event(Happening.DEGRADED, None, str(error)),), self._due)

    def set_wire(self, *, armed: bool, now: float) -> None:
        """There is no wire: reading never brakes."""

    def ask(self, signal: int, *, main_only: bool) -> int:
        """Have the crew ask."""
        return self._crew.ask(signal, main_only=main_only)

    def kill(self) -> int:
        """Have the crew kill."""
        self._over = True
        return self._crew.kill()

    def is_empty(self) -> bool:
        """Whether the crew is."""
        return self._crew.is_empty()

    def reaped(self, pid: int) -> None:
        """Tell the crew."""
        self._crew.reaped(pid)

    def survivors(self) -> tuple[Survivor, ...]:
        """Whoever is left of the crew."""
        return self._crew.survivors()

    def read(self, now: float) -> Reading | None:
        """What the run holds now, as far as the container tells."""
        try:
            return self._reading(now)
        except KernelFileError:
            return None

    def tally(self) -> Tally:
        """The peaks of what was sampled."""
        return Tally(self._peaks[0] or None, self._peaks[1] or None)

    def pressure(self) -> Pressure | None:
        """The container's own."""
        try:
            return files.parse_pressure(self._cgroup.read(files.MEMORY_PRESSURE) or "")
        except KernelFileError:
            return None

    def members(self) -> tuple[int, ...]:
        """The crew."""
        return self._crew.members()

    def set_limits(self, limits: Limits, now: float) -> None:
        """Judge by the new limits from the next look on, which is due."""
        self._limits = limits
        self._share.aim(limits)
        self._trigger = Trigger(limits.soft, os.cpu_count() or 1, limits.counted)
        self._told = False
        self._due = now

    def freeze(self, *, frozen: bool) -> None:
        """Halt the crew, or let it go on."""
        self._crew.freeze(frozen=frozen)

    def reclaim(self, size: int | None) -> None:
        """Raises SentinelError: a cgroup that can only be read has no such file to write."""
        del size
        raise SentinelError(
            "the cgroup-ro backend cannot reclaim memory", "sentinel doctor tells what it needs"
        )

    def close(self) -> Ledger:
        """Read what the container and the cgroups above it counted, and let the crew end."""
        ledger = self._crew.close()
        counters = self._ancestry.deltas()
        current, held = self._peaks
        oom_above = self._oom_above(counters)
        self._share.close()
        self._cgroup.close()
        return ledger._replace(
            peak_current=current or None,
            peak_working_set=held or None,
            counters=counters,
            oom_above=oom_above,
        )

    def _oom_above(self, counters: tuple[CounterDelta, ...]) -> str | None:
        """Whose OOM killed in the container, whose own limit is above the run."""
        own = [counter for counter in counters if counter.path == self._cgroup.path]
        killed = sum(counter.counts.get("oom_kill", 0) for counter in own)
        return decided_above({"oom_kill": killed}, counters, whole=self._ancestry.whole)


def _sooner(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)

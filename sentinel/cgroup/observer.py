"""Ladder step 4, a cgroup that can only be read: an ordinary container watched, not held.

There is no leaf and no wire. memory.current and memory.stat of the container's own cgroup are
sampled, adaptively, and what it held before the command started is taken off. The trigger rule is
the one of the leaf; its clauses about what reclaim could not free have no say, because nothing
reclaims at our limit here: page cache grows up to the container's own. For the same reason mapped
memory that is over needs no second reading. Who belongs to the run,
and how it is asked and killed, is the business of another enclosure, the crew.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from sentinel.cgroup import files
from sentinel.cgroup.behalf import OnBehalf
from sentinel.cgroup.gauge import Gauge
from sentinel.cgroup.ledger import Ancestry
from sentinel.cgroup.placement import Host, Refusal, is_namespace_root, own_cgroup
from sentinel.cgroup.tree import Cgroup
from sentinel.enclosure import Enclosure, Look, Process, Waiter
from sentinel.model.errors import KernelFileError
from sentinel.model.events import Event, Happening
from sentinel.model.outcome import CounterDelta, Ledger, Survivor
from sentinel.model.snapshot import Composition, Reading
from sentinel.model.spec import Count, Limits
from sentinel.policy.oom import decided_above
from sentinel.policy.pace import Pace
from sentinel.policy.trigger import Trigger

STEP = "read-only cgroup"


def observed(host: Host | None = None, *, alone: bool) -> Cgroup | Refusal:
    """The cgroup that this process is in, to be read.

    `alone`: only the root of a cgroup namespace will do, a container's: what else is in another
    cgroup, a login session for one, is no business of the run's.
    """
    directory = own_cgroup(host or Host())
    if isinstance(directory, Refusal):
        return directory._replace(step=STEP, applies=False)
    if not os.access(f"{directory}/{files.MEMORY_CURRENT}", os.R_OK):
        reason = f"{directory} has no {files.MEMORY_CURRENT} to be read"
        return Refusal(STEP, reason, "enable the memory controller above it", applies=False)
    if alone and not is_namespace_root(directory):
        reason = f"{directory} is not a container's, others may be in it"
        return Refusal(STEP, reason, "sentinel exec --backend cgroup-ro", applies=False)
    try:
        return Cgroup.open(directory)
    except KernelFileError as error:
        return Refusal(STEP, error.message, "let the container read its /sys/fs/cgroup")


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
        self._gauge = Gauge(cgroup, limits)
        self._clock = clock
        before = self._gauge.read(clock())
        if before is None:
            raise KernelFileError("read", f"{cgroup.path}/{files.MEMORY_STAT}", 0)
        self._before = before
        self._trigger = Trigger(limits.soft, os.cpu_count() or 1, limits.counted)
        self._pace = Pace()
        self._due = 0.0
        self._over = False
        self._peaks = (0, 0)

    def enter(self) -> None:
        """Join the crew: the cgroup cannot be chosen."""
        self._crew.enter()

    def adopt(self, main: Process, waiter: Waiter, now: float) -> None:
        """Begin to sample; the crew's first wake-up is ours."""
        self._crew.adopt(main, OnBehalf(waiter, self), now)

    def look(self, now: float) -> Look:
        """Let the crew look after the family, and judge the memory when that is due."""
        look = self._crew.look(now)
        if self._over:
            return look
        if now < self._due:
            return Look(look.events, _sooner(look.again, self._due))
        judged = self._judge(now)
        return Look((*look.events, *judged.events), _sooner(look.again, judged.again))

    def _judge(self, now: float) -> Look:
        began = self._clock()
        try:
            reading = self._read(now)
        except KernelFileError as error:
            self._over = True
            return Look((Event(Happening.DEGRADED, None, str(error)),))
        held = reading.working_set or 0
        self._peaks = (max(self._peaks[0], reading.current), max(self._peaks[1], held))
        hard = self._limits.hard
        if hard is not None and held >= hard:
            self._over = True
            why = "it went over the hard limit in a cgroup that cannot hold it"
            return Look((Event(Happening.HARD_CROSSED, reading, why),))
        events, again = self._pull_trigger(reading)
        counted = _counted(reading, self._limits.counted)
        nearest = self._limits.soft if counted < self._limits.soft else hard or counted
        again = _sooner(
            again, self._pace.next(now, max(counted, held), nearest, self._clock() - began)
        )
        self._due = now + (again or 0.0)
        return Look(events, self._due)

    def _pull_trigger(self, reading: Reading) -> tuple[tuple[Event, ...], float | None]:
        """What the rule says; being over the limit stands for the wire's event."""
        counted = _counted(reading, self._limits.counted)
        judged = reading
        if self._limits.counted is not Count.TOTAL:
            judged = reading._replace(current=reading.working_set or 0)
        sure = _mapped(reading) > self._limits.soft
        finding = self._trigger.observe(judged, fresh=counted >= self._limits.soft, sure=sure)
        if finding.crossed:
            crossing = Event(
                Happening.SOFT_CROSSED,
                reading,
                first_event=finding.first_event,
                first_over=finding.first_over,
            )
            return (crossing,), finding.again
        if finding.cleared:
            return (Event(Happening.SOFT_CLEARED, reading),), finding.again
        return (), finding.again

    def _read(self, now: float) -> Reading:
        """What came on top of what was there before. Raises KernelFileError."""
        all_of_it = self._gauge.read(now)
        if all_of_it is None:
            path = f"{self._cgroup.path}/{files.MEMORY_STAT}"
            raise KernelFileError("read", path, 0)
        before = self._before
        held = _rise(all_of_it.working_set, before.working_set)
        return all_of_it._replace(
            current=_rise(all_of_it.current, before.current),
            working_set=held,
            anon=_rise(all_of_it.anon, before.anon),
            composition=_risen(all_of_it.composition, before.composition),
            non_file=held,
        )

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

    def close(self) -> Ledger:
        """Read what the container and the cgroups above it counted, and let the crew end."""
        ledger = self._crew.close()
        counters = self._ancestry.deltas()
        current, held = self._peaks
        oom_above = self._oom_above(counters)
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


def _counted(reading: Reading, count: Count) -> int:
    if count is Count.ANON:
        return reading.anon or 0
    return reading.current if count is Count.TOTAL else reading.working_set or 0


def _mapped(reading: Reading) -> int:
    """What is surely neither page cache nor lazily freed: two views, by mapping and by LRU list.

    One reading of it is enough: the LRU counters jump when reclaim moves pages about, the others
    do not, and neither has the per-CPU stock in it that memory.current has.
    """
    shmem = 0 if reading.composition is None else reading.composition.shmem
    return min((reading.anon or 0) + shmem, reading.working_set or 0)


def _rise(now: int | None, before: int | None) -> int:
    return max(0, (now or 0) - (before or 0))


def _risen(now: Composition | None, before: Composition | None) -> Composition | None:
    if now is None or before is None:
        return now
    return Composition(*map(_rise, now, before))


def _sooner(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)

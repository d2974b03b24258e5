"""The enclosure without a cgroup: watches by sampling, ends by signals, one process at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from sentinel.enclosure import Look, Process, Waiter
from sentinel.linux.clock import monotonic
from sentinel.linux.kinship import (
    Delivery,
    Identity,
    ask_identity,
    has_children,
    kill_identity,
    signal_identity,
)
from sentinel.model.errors import SentinelError
from sentinel.model.events import Event, Happening
from sentinel.model.outcome import Ledger, Survivor
from sentinel.model.signals import SIGCONT, SIGSTOP
from sentinel.model.snapshot import Reading
from sentinel.model.spec import Count, Limits
from sentinel.model.status import Pressure
from sentinel.model.status import Tally as Counters
from sentinel.rss.family import Family
from sentinel.rss.meter import Surveyor, Tallier
from sentinel.rss.procfs import Proc, require
from sentinel.rss.readings import Survey, Tally, as_reading
from sentinel.rss.record import Notebook
from sentinel.rss.threshold import SLOWEST, Threshold

if TYPE_CHECKING:
    from sentinel.rss.aid import Aid

AID_AFTER = 2.0
"""Seconds that a run must have lived before anything dear is done to know it better."""
EAGER_BELOW = 0.050
"""Seconds: while looks are due sooner than this, the family is followed as closely."""
LINGER = 0.050
"""Seconds between looks at a family whose main process is gone."""
MOST_ASKING = 3
"""Rounds in which newcomers are still asked to stop."""
MOST_KILLING = 1.0
"""Seconds that one order to kill may hold up the guard, which has nothing better to do; 500
processes take 30 ms, and 16 times that in a machine that emulates its CPU."""


class RssEnclosure:
    """One run, held by nothing but what /proc tells of its family."""

    backend = "rss"
    where = ""

    def __init__(
        self,
        limits: Limits,
        unenforced: tuple[str, ...] = (),
        clock: Callable[[], float] = monotonic,
        *,
        surveys: bool = True,
    ) -> None:
        """Become a subreaper, before the command is forked.

        `unenforced` names the options that the user gave and that nobody enforces here. Without
        `surveys` nobody pays for PSS, and nothing is ever over: another judges the memory.
        Raises SentinelError where a run could not be watched at all.
        """
        self.unenforced = unenforced
        self._clock = clock
        self._surveys = surveys
        self._proc = Proc()
        require(self._proc)
        self._family = Family(self._proc, clock)
        self._threshold = Threshold(limits)
        self._tallier = Tallier(self._proc)
        self._notebook = Notebook(self._family)
        self._surveyor: Surveyor | None = None
        self._aid: Aid | None = None
        self._aid_at = 0.0
        self._main: Process | None = None
        self._main_gone = self._killed = False
        self._due = self._again = 0.0
        self._peak_current: int | None = None
        self._peak_working_set: int | None = None
        self._tallied: Tally | None = None
        self._surveyed: Survey | None = None
        self._first_look: tuple[int, Waiter] | None = None

    def enter(self) -> None:
        """There is nothing to join: a child of ours is a member by birth."""

    def spare(self, pid: int) -> None:
        """Leave it out of the family."""
        self._family.spare(pid)

    def adopt(self, main: Process, waiter: Waiter, now: float) -> None:
        """Begin to sample; an eventfd that is ready from the start makes for the first look."""
        self._main = main
        self._family.begin(main.pid)
        self._aid_at = now + AID_AFTER
        self._notebook.open()
        ready = os.eventfd(1, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        waiter.watch(ready, self)
        self._first_look = (ready, waiter)

    def look(self, now: float) -> Look:
        """Tally, survey where that is not enough, and say when to look again."""
        self._end_first_look()
        if self._killed or now < self._due:
            return self._rest(now)
        if self._surveyor is None:
            events = self._follow(now)
            tally, cost = self._tally(now)
            finding = self._threshold.observe(tally, cost)
            if finding.cleared:
                events += (Event(Happening.SOFT_CLEARED, as_reading(tally, None)),)
            if not (finding.survey and self._surveys):
                return self._rest(now, finding.again, events)
            self._surveyor = Surveyor(self._proc, self._family.living(), tally, self._clock)
        else:
            events = ()
        return self._survey(self._surveyor, now, events)

    def _rest(self, now: float, again: float | None = None, events: tuple[Event, ...] = ()) -> Look:
        """Nothing to do until the next look; members may end meanwhile without a word to us."""
        if again is not None:
            self._again, self._due = again, now + again
        if self._killed:
            return Look(events, now + LINGER)
        return Look(events, min(self._due, now + LINGER) if self._main_gone else self._due)

    def _follow(self, now: float) -> tuple[Event, ...]:
        """Follow the family, keep the record, and use the quiet for what is dear."""
        events = []
        if now >= self._aid_at and (lost := self._use_aid(now)):
            events.append(Event(Happening.DEGRADED, detail=lost))
        self._family.refresh(now, eager=self._again < EAGER_BELOW)
        if failed := self._notebook.turn(now):
            events.append(Event(Happening.DEGRADED, detail=failed))
        return tuple(events)

    def _use_aid(self, now: float) -> str:
        """What is lost of it, if anything. It is only begun in the quiet: it has to be imported."""
        calm = self._again >= SLOWEST
        if self._aid is None and calm:
            from sentinel.rss.aid import Aid

            self._aid = Aid(self._family)
        return self._aid.turn(now, calm=calm) if self._aid is not None else ""

    def _tally(self, now: float) -> tuple[Tally, float]:
        """The family's sum, and the seconds that it took."""
        began = self._clock()
        tally = self._tallied = self._tallier.tally(self._family.living(), now)
        self._peak_current = max(self._peak_current or 0, tally.resident)
        return tally, self._clock() - began

    def _survey(self, surveyor: Surveyor, now: float, events: tuple[Event, ...]) -> Look:
        """Work on the survey; judge it when it is complete."""
        survey = surveyor.advance()
        if survey is None:
            return Look(events, now)
        self._surveyor, self._surveyed = None, survey
        working_set = survey.value(Count.WORKINGSET)
        self._peak_working_set = max(self._peak_working_set or 0, working_set)
        finding = self._threshold.confirm(survey)
        reading = as_reading(survey.tally, survey)
        for what, happened in (
            (Happening.SOFT_CROSSED, finding.crossed),
            (Happening.HARD_CROSSED, finding.walled),
            (Happening.SOFT_CLEARED, finding.cleared),
        ):
            if happened:
                events += (Event(what, reading, first_over=finding.first_over),)
        return self._rest(now, finding.again, events)

    def set_wire(self, *, armed: bool, now: float) -> None:
        """There is no wire: sampling never brakes."""

    def ask(self, signal: int, *, main_only: bool) -> int:
        """Signal the main process first, then whoever else was not asked yet, newcomers too.

        Those known come before any walk: while it goes on they would grow.
        """
        asked = 0
        for turn in range(1 + MOST_ASKING):
            if turn:
                self._family.walk()
            fresh = [member for member in self._family.alive() if not member.asked]
            if main_only and self._main is not None:
                fresh = [member for member in fresh if member.identity.pid == self._main.pid]
            if turn and not fresh:
                break
            for member in fresh:
                member.asked = True
                asked += ask_identity(member.identity, signal) is Delivery.DELIVERED
        return asked

    def kill(self) -> int:
        """SIGKILL whoever is found, again and again, until a whole walk finds nobody new.

        A process with a pending SIGKILL cannot fork (copy_process in kernel/fork.c gives way to
        signals), so every round leaves fewer that can.
        """
        self._killed = True
        return self._reach(kill_identity)

    def _reach(self, signal_one: Callable[[Identity], Delivery]) -> int:
        """Signal everybody that a walk finds, until one finds nobody new; how many there were."""
        began = self._clock()
        reached: set[Identity] = set()
        met: set[Identity] = set()
        complete = False
        while True:
            # Those known first: while a walk goes on they would fork.
            fresh = [member for member in self._family.living() if member.identity not in met]
            met.update(member.identity for member in fresh)
            for member in self._family.alive(fresh):
                signal_one(member.identity)
                reached.add(member.identity)
            # One that was met and ended before it was reached may have left children.
            if (complete and not fresh) or self._clock() - began > MOST_KILLING:
                return len(reached)
            complete = self._family.walk()

    def is_empty(self) -> bool:
        """Whether nobody of the family lives: the kernel's word where it is enough, else a walk."""
        if next(self._family.alive(), None) is not None:
            return False
        if not has_children():
            return True
        return self._family.walk() and not self._family.living()

    def reaped(self, pid: int) -> None:
        """Forget `pid`, unless it only was stopped and lives on."""
        gone = self._family.forget(pid)
        if self._main is not None and pid == self._main.pid:
            self._main_gone = gone

    def survivors(self) -> tuple[Survivor, ...]:
        """Members that live, by name and state."""
        self._family.walk()
        stats = (self._proc.stat(member.identity.pid) for member in self._family.alive())
        return tuple(Survivor(stat.pid, stat.name, stat.state) for stat in stats if stat)

    def read(self, _now: float) -> Reading | None:
        """The last tally: at most half a second old; what only a survey knows, from the last."""
        return None if self._tallied is None else as_reading(self._tallied, self._surveyed)

    def tally(self) -> Counters:
        """The peaks of what was sampled."""
        return Counters(self._peak_current, self._peak_working_set)

    def pressure(self) -> Pressure | None:
        """Nobody measures it for a family."""
        return None

    def members(self) -> tuple[int, ...]:
        """Those known to be alive, the main process first."""
        main = 0 if self._main is None else self._main.pid
        pids = (member.identity.pid for member in self._family.alive())
        return tuple(sorted(pids, key=main.__ne__))

    def set_limits(self, limits: Limits, now: float) -> None:
        """Judge by the new limits, from a survey on that is yet to be made."""
        self._threshold = Threshold(limits)
        self._surveyor = None
        self._due = now

    def freeze(self, *, frozen: bool) -> None:
        """SIGSTOP or SIGCONT to the whole family; newcomers are found until there are none."""
        number = SIGSTOP if frozen else SIGCONT
        self._reach(lambda identity: signal_identity(identity, number))

    def reclaim(self, size: int | None) -> None:
        """Raises SentinelError: only the kernel can, and only from a cgroup."""
        del size
        raise SentinelError(
            "the rss backend cannot reclaim memory", "sentinel doctor tells how to get a cgroup"
        )

    def close(self) -> Ledger:
        """Remove the record and release the descriptors."""
        left_behind = () if self.is_empty() else self.survivors()
        self._end_first_look()
        self._notebook.close()
        if self._aid is not None:
            self._aid.close()
        return Ledger(self._peak_current, self._peak_working_set, left_behind=left_behind)

    def _end_first_look(self) -> None:
        if self._first_look is not None:
            ready, waiter = self._first_look
            self._first_look = None
            waiter.forget(ready)
            os.close(ready)

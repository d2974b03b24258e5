"""Is the run over its limit, and when to look again? Pure: readings in, findings out.

Laws of this room; tests/rss/test_threshold.py holds each as a property:
1. Nothing is crossed but on a survey (PSS): the cheap tally (RSS) only asks for one.
2. While the tally is under a limit, and no page is in doubt, nobody pays for a survey of it.
3. A tally over the limit with a survey under it (forked workers that share their memory) does
   not buy a survey at every look: the gap found is trusted until something has grown into it.
4. The next look is never later than half the time that the head-room lasts at the growth seen,
   as far as FASTEST and the cost of looking allow; never sooner than FASTEST, never later than
   SLOWEST.

Theory of operation. A tally's sum is an upper bound of what the run holds, but for two things.
Linux 6.2 to 6.15 lets it lag (SLACK). And a page that was shared after a fork and is now copied
on write moves no RSS number, while it adds to PSS: so a gap is not trusted for longer than
RECHECK, or LOOK_SHARE times what the survey cost.
"""

from typing import NamedTuple

from sentinel.model.spec import Count, Limits
from sentinel.rss.readings import Survey, Tally

FASTEST = 0.005
SLOWEST = 0.500
LOOK_SHARE = 200
"""Looks, and surveys that nothing but time asks for, may cost 0.5 % of a core each: none is made
sooner than this many times the length of the last one after it."""
URGENT_SHARE = 10
"""10 % while the head-room is about to run out: a dead machine is dearer."""
CALM_FLOOR = 0.080
SUDDEN = 200 << 20
"""Bytes per second that a quiet program is assumed able to begin growing at: at 100 MiB of
head-room it is looked at every 500 ms, at 16 MiB and less every 80 ms. A look after a sleep costs
300 us on a busy machine, whose caches have forgotten us, and 20 us in a row: 0.4 % of a core."""
MEMORY_OF_GROWTH = 0.5
"""Seconds in which a burst of growth counts for half: allocators grow in steps."""
SLACK = 0.02
"""Fraction of the limit by which a tally may lag, see above; the bound of any slack here."""
RECHECK = 1.0
RECHECK_NEAR = 0.25
ROUTINE = 10.0
"""Seconds between surveys that nothing asks for, so that the working set can be shown at all."""
ROUTINE_FIRST = 1.0
ROUTINE_SHARE = 1000
DOUBT_FOR = 0.1
"""Seconds after which a survey is believed although processes shrank or ended under it."""
CLEARED = 0.97


class Finding(NamedTuple):
    """What a look means. `survey`: take one now. `again`: seconds until the next look.

    `first_over` is when the first of the unbroken row of surveys over the limit began.
    """

    again: float
    survey: bool = False
    crossed: bool = False
    cleared: bool = False
    walled: bool = False
    first_over: float | None = None


class _Bar:
    """One limit, what is counted against it, and whether that was told to be over."""

    def __init__(self, limit: int, counted: Count) -> None:
        self.limit = limit
        self.crossed = False
        self._counted = counted
        self.over_since: float | None = None

    def _relevant(self, tally: Tally) -> tuple[int, ...]:
        if self._counted is Count.ANON:
            return (tally.anon, tally.swap)
        return (tally.anon, tally.shared, tally.swap)

    def bound(self, tally: Tally) -> int:
        """No less than what is counted, but for the lag."""
        return sum(self._relevant(tally))

    def estimate(self, tally: Tally, known: Survey | None) -> int:
        """What is counted, as far as can be told: what the last survey found, and growth since.

        Part by part, so that shrinking file pages cannot hide growing anonymous ones.
        """
        bound = self.bound(tally)
        if known is None:
            return bound
        before = self._relevant(known.tally)
        grown = sum(
            max(0, new - old) for new, old in zip(self._relevant(tally), before, strict=True)
        )
        return min(bound, self.value(known) + grown)

    def value(self, survey: Survey) -> int:
        """What `survey` says is counted."""
        return survey.value(self._counted)

    def judge(self, survey: Survey) -> bool:
        """Whether `survey` shows more than the limit for the first time."""
        value = self.value(survey)
        if value <= self.limit:
            self.over_since = None
            return False
        if self.over_since is None:
            self.over_since = survey.tally.at
        if self.crossed:
            return False
        believed = value - survey.doubt > self.limit
        self.crossed = believed or survey.tally.at - self.over_since >= DOUBT_FOR
        return self.crossed

    @property
    def in_doubt(self) -> bool:
        """Whether the last survey was over the limit and not believed."""
        return self.over_since is not None and not self.crossed

    def clear(self, amount: int) -> bool:
        """Take a told crossing back when `amount` bytes are well under the limit."""
        cleared = self.crossed and amount <= self.limit * CLEARED
        if cleared:
            self.crossed, self.over_since = False, None
        return cleared

    def alarming(self, tally: Tally) -> bool:
        """Whether `tally` alone cannot rule out a crossing."""
        return not self.crossed and self.bound(tally) >= self.limit * (1 - SLACK)

    def outgrown(self, tally: Tally, known: Survey) -> bool:
        """Whether what has grown since `known` may have crossed the limit."""
        return self.alarming(tally) and self.estimate(tally, known) > self.limit

    def trusts(self, tally: Tally, known: Survey, hidden: float) -> float | None:
        """Seconds for which `known` is trusted about this limit; None when it does not matter.

        `hidden` is the growth between the last two surveys that tallies did not show, bytes per
        second: of pages that were shared after a fork and are copied on write.
        """
        if not (self.crossed or self.alarming(tally)):
            return None
        if self.in_doubt:
            return 0.0
        room = self.limit - self.value(known)
        near = self.crossed or room <= self.limit * SLACK
        trusted = max(RECHECK_NEAR if near else RECHECK, known.cost * LOOK_SHARE)
        return min(trusted, max(0.0, room / hidden / 2)) if hidden > 0 else trusted


class _Pace:
    """When to look again: half the time that the head-room lasts, within what looking costs."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._growth = 0.0
        self._cost = 0.0
        self._again = FASTEST / 2
        self._ramp = FASTEST

    def next(self, tally: Tally, cost: float, room: int | None) -> float:
        """Seconds until the look after `tally`, with `room` bytes left."""
        if self._last is not None:
            self.learn(tally.grown, tally.at - self._last)
        self._last = tally.at
        self._cost = cost
        self._ramp = self._again * 2
        return self.revised(room)

    def learn(self, gained: int, seconds: float) -> None:
        """Remember the growth, the faster the longer."""
        if seconds > 0:
            faded = self._growth * 0.5 ** (seconds / MEMORY_OF_GROWTH)
            self._growth = max(gained / seconds, faded)

    def witness(self, growth: float) -> None:
        """Take note of `growth` that surveys have shown and tallies cannot."""
        self._growth = max(self._growth, growth)

    def revised(self, room: int | None) -> float:
        """The same for another idea of the head-room."""
        wish = self._ramp
        if room is not None:
            wish = min(wish, max(room / SUDDEN, CALM_FLOOR, self._cost * LOOK_SHARE))
            if self._growth > 0:
                wish = min(wish, room / self._growth / 2)
        self._again = min(SLOWEST, max(FASTEST, self._cost * URGENT_SHARE, wish))
        return self._again


class Threshold:
    """Judges tallies and surveys one by one. Holds the last of each and the growth seen."""

    def __init__(self, limits: Limits) -> None:
        """Hold the soft limit against `limits.counted`.

        The hard one, like memory.max, is for what cannot be reclaimed, whatever is counted.
        """
        self._soft = _Bar(limits.soft, limits.counted)
        self._hard = None if limits.hard is None else _Bar(limits.hard, Count.WORKINGSET)
        self._bars = (self._soft,) if self._hard is None else (self._soft, self._hard)
        self._pace = _Pace()
        self._first: float | None = None
        self._known: Survey | None = None
        self._hidden = 0.0
        self._outgrown = self._false_alarm = False

    def observe(self, tally: Tally, cost: float) -> Finding:
        """Judge `tally`, which took `cost` seconds."""
        if self._first is None:
            self._first = tally.at
        cleared = self._soft.clear(self._soft.bound(tally))
        again = self._pace.next(tally, cost, self._room(tally))
        return Finding(again, survey=self._wants_survey(tally), cleared=cleared)

    def confirm(self, survey: Survey) -> Finding:
        """Judge `survey`, which `observe` asked for."""
        before, self._known = self._known, survey
        crossed = self._soft.judge(survey)
        walled = self._hard is not None and self._hard.judge(survey)
        cleared = not crossed and self._soft.clear(self._soft.value(survey))
        if before is not None and survey.tally.at > before.tally.at:
            seconds = survey.tally.at - before.tally.at
            value = self._soft.value(survey)
            self._hidden = (value - self._soft.estimate(survey.tally, before)) / seconds
            self._pace.witness((value - self._soft.value(before)) / seconds)
        self._false_alarm = self._outgrown and not (crossed or walled)
        again = self._pace.revised(self._room(survey.tally))
        if any(bar.in_doubt for bar in self._bars):
            again = max(FASTEST, survey.cost * URGENT_SHARE)
        over_since = self._hard.over_since if walled and self._hard else self._soft.over_since
        return Finding(
            again, crossed=crossed, cleared=cleared, walled=walled, first_over=over_since
        )

    def _room(self, tally: Tally) -> int | None:
        """Bytes until the nearest limit that is not crossed yet; None when there is none."""
        rooms = [
            bar.limit - bar.estimate(tally, self._known) for bar in self._bars if not bar.crossed
        ]
        return max(0, min(rooms)) if rooms else None

    def _wants_survey(self, tally: Tally) -> bool:
        known = self._known
        if known is None:
            routine = tally.at - (self._first or 0.0) >= ROUTINE_FIRST
            return routine or any(bar.alarming(tally) for bar in self._bars)
        # From the wall there is no way back, so nothing about it is left to be known.
        bars = [bar for bar in self._bars if bar is self._soft or not bar.crossed]
        self._outgrown = any(bar.outgrown(tally, known) for bar in bars)
        if self._outgrown and not self._false_alarm:
            return True
        age = tally.at - known.tally.at
        if age < known.cost * URGENT_SHARE:
            return False
        if self._outgrown or age >= max(ROUTINE, known.cost * ROUTINE_SHARE):
            return True
        trusts = [bar.trusts(tally, known, self._hidden) for bar in bars]
        return any(trusted is not None and age >= trusted for trusted in trusts)

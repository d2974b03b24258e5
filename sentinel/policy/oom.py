"""Was it the kernel's OOM killer, and whose? From the cgroups' own counters (cgroup-v2.rst).

An OOM counts `oom` where the limit is, and `oom_kill` where the killed process was. So at our
own wall the leaf has both; when it was decided above, the leaf was killed in without an `oom`,
or with none but old ones that killed nobody.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sentinel.model.outcome import (
    ABOVE_NAMESPACE,
    THE_HOST,
    CommandStatus,
    CounterDelta,
    Ledger,
    Signalled,
    Verdict,
)
from sentinel.model.signals import SIGKILL

STUCK_FOR = 1.0
"""Seconds that `oom` may rise without a kill: a member is exempt (oom_score_adj -1000)."""
RISE_GAP = 0.5
"""Seconds without a rise after which `oom` has stopped rising; stuck members raise it 30 times."""


KILL_FOLLOWS = 5.0
"""Seconds within which the kill of an OOM of our own is counted: in between the kernel reports the
OOM to its console, which may be a slow serial line, and others' OOMs wait for it to be done."""


class Wall(NamedTuple):
    """Whether the wall was hit for good, why, and when to look again (monotonic seconds)."""

    crossed: bool = False
    why: str = ""
    again: float | None = None


_KILLED = "the kernel's OOM killer ended it at the hard limit"


class OomJudge:
    """Follows `oom` and `oom_kill` of a leaf whose counters began at 0."""

    def __init__(self) -> None:
        """Begin with no OOM seen."""
        self._ooms = self._kills = 0
        self.rescued = 0
        """How many of the leaf's own OOMs were over, with nobody killed, when a kill came."""
        self._rose_at = 0.0
        self._rising_since: float | None = None

    def observe(self, now: float, counts: dict[str, int]) -> Wall:
        """Judge the counters. A kill without an OOM of our own just before was decided above us.

        A single `oom` without a kill is nothing: memory that another process freed meanwhile
        saved the one that was about to be killed (mem_cgroup_out_of_memory looks again).
        """
        ooms = counts.get("oom", 0)
        kills = counts.get("oom_kill", 0) + counts.get("oom_group_kill", 0)
        killed, self._kills = kills > self._kills, kills
        if killed and ooms > self._ooms:
            return Wall(crossed=True, why=_KILLED)
        if killed and ooms > self.rescued:
            if now - self._rose_at <= KILL_FOLLOWS:
                return Wall(crossed=True, why=_KILLED)
            self.rescued = ooms
        pause = now - self._rose_at
        if ooms > self._ooms:
            if self._rising_since is None or pause > RISE_GAP:
                self._rising_since = now
            self._ooms, self._rose_at = ooms, now
            if now - self._rising_since >= STUCK_FOR:
                return Wall(crossed=True, why="out of memory at the hard limit with nobody killed")
        elif pause > RISE_GAP:
            self._rising_since = None
        return Wall(again=None if self._rising_since is None else now + RISE_GAP / 2)


def decided_above(
    inside: dict[str, int], above: Sequence[CounterDelta], *, whole: bool, rescued: int = 0
) -> str | None:
    """Whose OOM killed a process of the leaf, as in `Ledger.oom_above`.

    `inside` is the leaf's memory.events, cgroups inside it included (a nested run's own wall is
    nobody's above); `above` what the local events of the cgroups above counted, nearest first;
    `whole`: they go up to the real root, which has no limit, so that only the machine is left;
    `rescued`: so many OOMs of the leaf's own killed nobody, as `OomJudge` saw.
    """
    killed = inside.get("oom_kill", 0) or inside.get("oom_group_kill", 0)
    if not killed or inside.get("oom", 0) > rescued:
        return None
    for counter in above:
        if counter.counts.get("oom", 0):
            return counter.path
    return THE_HOST if whole else ABOVE_NAMESPACE


_NOT_OUR_KILL = frozenset({Verdict.SIGNALLED, Verdict.SOFT_LIMIT, Verdict.TIMEOUT, Verdict.STOPPED})
"""Verdicts that a main process which SIGKILL ended has only when the SIGKILL was not ours."""


def blamed(verdict: Verdict, status: CommandStatus | None, ledger: Ledger) -> Verdict:
    """`verdict`, unless an OOM that was decided above the run ended the main process."""
    if ledger.oom_above is None or verdict not in _NOT_OUR_KILL or status != Signalled(SIGKILL):
        return verdict
    return Verdict.HOST_OOM if ledger.oom_above == THE_HOST else Verdict.ANCESTOR_LIMIT

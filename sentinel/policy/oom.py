"""Was it the kernel's OOM killer at our wall? From memory.events.local alone (kernel-notes Q6)."""

from __future__ import annotations

from typing import NamedTuple

STUCK_FOR = 1.0
"""Seconds that `oom` may rise without a kill: a member is exempt (oom_score_adj -1000)."""
RISE_GAP = 0.5
"""Seconds without a rise after which `oom` has stopped rising; stuck members raise it 30 times."""


class Wall(NamedTuple):
    """Whether the wall was hit for good, why, and when to look again (monotonic seconds)."""

    crossed: bool = False
    why: str = ""
    again: float | None = None


class OomJudge:
    """Follows `oom` and `oom_kill` of a leaf whose counters began at 0."""

    def __init__(self) -> None:
        """Begin with no OOM seen."""
        self._ooms = 0
        self._rose_at = 0.0
        self._rising_since: float | None = None

    def observe(self, now: float, counts: dict[str, int]) -> Wall:
        """Judge the counters. `oom_kill` without `oom` is an OOM decided above us: not our wall.

        A single `oom` without a kill is nothing: memory that another process freed meanwhile
        saved the one that was about to be killed (mem_cgroup_out_of_memory looks again).
        """
        ooms = counts.get("oom", 0)
        if ooms and (counts.get("oom_kill", 0) or counts.get("oom_group_kill", 0)):
            return Wall(crossed=True, why="the kernel's OOM killer ended it at the hard limit")
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

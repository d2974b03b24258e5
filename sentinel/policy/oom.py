"""Was it the kernel's OOM killer at our wall? From memory.events.local alone (kernel-notes Q6)."""

from __future__ import annotations

from typing import NamedTuple

STUCK_FOR = 1.0
"""Seconds that `oom` may count without a kill: a member is exempt (oom_score_adj -1000)."""


class Wall(NamedTuple):
    """Whether the wall was hit for good, why, and when to look again (monotonic seconds)."""

    crossed: bool = False
    why: str = ""
    again: float | None = None


class OomJudge:
    """Follows `oom` and `oom_kill` of a leaf whose counters began at 0."""

    def __init__(self) -> None:
        """Begin with no OOM seen."""
        self._first_oom: float | None = None

    def observe(self, now: float, counts: dict[str, int]) -> Wall:
        """Judge the counters. `oom_kill` without `oom` is an OOM decided above us: not our wall."""
        if not counts.get("oom", 0):
            return Wall()
        if counts.get("oom_kill", 0) or counts.get("oom_group_kill", 0):
            return Wall(crossed=True, why="the kernel's OOM killer ended it at the hard limit")
        if self._first_oom is None:
            self._first_oom = now
        if now - self._first_oom >= STUCK_FOR:
            return Wall(crossed=True, why="out of memory at the hard limit with nobody killed")
        return Wall(again=self._first_oom + STUCK_FOR)

"""How long each timer of a run runs."""

from __future__ import annotations

from sentinel.model.events import Timer
from sentinel.model.spec import StopPlan

LOOK_AGAIN_AFTER = 1.0
"""Seconds between two looks while the watch fails."""
RETRY_AFTER = 0.5
"""Seconds between two kills of an enclosure that does not get empty."""
GIVE_UP_AFTER = 10.0
"""Seconds of killing after which what is left is named instead (D state)."""


def duration_of(timer: Timer, plan: StopPlan) -> float | None:
    """Seconds that `timer` takes under `plan`; None: it is never armed."""
    return {
        Timer.TIMEOUT: plan.timeout,
        Timer.PATIENCE: plan.patience,
        Timer.GRACE: plan.grace,
        Timer.RETRY: RETRY_AFTER,
        Timer.GIVE_UP: GIVE_UP_AFTER,
    }[timer]

"""What can happen to a run. Every cause of a change enters the policy as one of these."""

from enum import Enum
from typing import NamedTuple

from sentinel.model.snapshot import Reading


class Timer(Enum):
    """The timers that a run can have armed."""

    TIMEOUT = "timeout"
    PATIENCE = "patience"
    GRACE = "grace"
    RETRY = "retry"
    GIVE_UP = "give up"


class Happening(Enum):
    """The columns of the escalation table."""

    STARTED = "started"
    SOFT_CROSSED = "soft crossed"
    SOFT_CLEARED = "soft cleared"
    HARD_CROSSED = "hard crossed"
    STOP_REQUESTED = "stop requested"
    KILL_REQUESTED = "kill requested"
    MAIN_EXITED = "main exited"
    EMPTIED = "emptied"
    DEGRADED = "degraded"
    TIMEOUT_ELAPSED = "timeout elapsed"
    PATIENCE_ELAPSED = "patience elapsed"
    GRACE_ELAPSED = "grace elapsed"
    RETRY_ELAPSED = "retry elapsed"
    GIVE_UP_ELAPSED = "give up elapsed"


ELAPSED = {
    Timer.TIMEOUT: Happening.TIMEOUT_ELAPSED,
    Timer.PATIENCE: Happening.PATIENCE_ELAPSED,
    Timer.GRACE: Happening.GRACE_ELAPSED,
    Timer.RETRY: Happening.RETRY_ELAPSED,
    Timer.GIVE_UP: Happening.GIVE_UP_ELAPSED,
}
"""The event that each timer brings when it elapses."""


class Event(NamedTuple):
    """Something happened: what, with the reading that showed it and a word on why, if any.

    A crossing tells when it began, in monotonic seconds: `first_event` that woke the guard,
    `first_over`, the first reading of the unbroken row that was over the limit.
    """

    what: Happening
    reading: Reading | None = None
    detail: str = ""
    first_event: float | None = None
    first_over: float | None = None

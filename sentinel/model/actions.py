"""What the policy can order. Intent only: enclosures know how (cgroup.kill, SIGKILL, pidfds)."""

from enum import Enum
from typing import NamedTuple

from sentinel.model.events import Timer


class Do(Enum):
    """Orders to the enclosure, and the last one to the guardian."""

    LIFT_WIRE = "lift the wire"
    ARM_WIRE = "arm the wire"
    ASK_TO_STOP = "ask to stop"
    KILL_ALL = "kill all"
    FINISH = "finish"


class Arm(NamedTuple):
    """Start `timer` with the duration that the run's stop plan gives it."""

    timer: Timer


class Disarm(NamedTuple):
    """Forget `timer`."""

    timer: Timer


Action = Do | Arm | Disarm

"""What can be asked of a running run, and what it answers."""

from typing import NamedTuple

OVER = "the run is over"
"""What is answered to everything when a run has ended and is only still being closed."""


class Stop(NamedTuple):
    """Begin the two-step stop, as if a limit had been crossed."""


class Kill(NamedTuple):
    """Kill everything now."""


class SetLimit(NamedTuple):
    """Replace the soft limit, in bytes."""

    size: int


class SetGrace(NamedTuple):
    """Replace the grace, in seconds."""

    seconds: float


class Freeze(NamedTuple):
    """Stop every process of the run where it is."""


class Thaw(NamedTuple):
    """Let a frozen run go on."""


class Reclaim(NamedTuple):
    """Have the kernel free what it can, at most `size` bytes; None: all that is reclaimable."""

    size: int | None = None


Request = Stop | Kill | SetLimit | SetGrace | Freeze | Thaw | Reclaim


class Reply(NamedTuple):
    """What was begun, or why nothing was (`ok` False): one line without its newline."""

    text: str
    ok: bool = True

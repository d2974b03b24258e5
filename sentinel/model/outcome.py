"""How a run ended: the verdict, whose exit status it is, and the evidence."""

from enum import Enum
from typing import NamedTuple

from sentinel.model.errors import EXIT_LIMIT, EXIT_SENTINEL
from sentinel.model.snapshot import Reading
from sentinel.model.spec import Limits


class Verdict(Enum):
    """Who ended the command, and why (docs/verdicts.md)."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    SOFT_LIMIT = "soft-limit"
    SOFT_LIMIT_KILLED = "soft-limit-killed"
    HARD_LIMIT = "hard-limit"
    ANCESTOR_LIMIT = "ancestor-limit"
    HOST_OOM = "host-oom"
    TIMEOUT = "timeout"
    TIMEOUT_KILLED = "timeout-killed"
    STOPPED = "stopped"
    KILLED = "killed"
    FAILED_TO_START = "failed-to-start"


LIMIT_VERDICTS = frozenset(
    {
        Verdict.SOFT_LIMIT,
        Verdict.SOFT_LIMIT_KILLED,
        Verdict.HARD_LIMIT,
        Verdict.ANCESTOR_LIMIT,
        Verdict.TIMEOUT,
        Verdict.TIMEOUT_KILLED,
    }
)
"""Sentinel or the kernel enforced a limit, whichever step it took: exit status 124."""


class Exited(NamedTuple):
    """The command called exit(2) with `code`."""

    code: int


class Signalled(NamedTuple):
    """A signal ended the command."""

    signal: int


CommandStatus = Exited | Signalled


def command_exit_status(status: CommandStatus | None) -> int:
    """The status that a shell would show for the command: its own, or 128+n for signal n."""
    if status is None:
        return EXIT_SENTINEL
    return status.code if isinstance(status, Exited) else 128 + status.signal


ASKED = "asked to stop"
"""The moment of the first polite signal, in the timeline."""


class Moment(NamedTuple):
    """A line of the timeline: seconds since exec (negative before), what happened, details."""

    at: float
    what: str
    detail: str = ""
    current: int | None = None


class Survivor(NamedTuple):
    """A process that could not be killed. `state` is the letter of /proc/PID/stat."""

    pid: int
    name: str
    state: str


class CounterDelta(NamedTuple):
    """What memory.events of one cgroup counted during the run, from the leaf up to the root."""

    path: str
    counts: dict[str, int]


ABOVE_NAMESPACE = "above this cgroup namespace"
THE_HOST = "the machine"
"""Who ran out of memory where no cgroup that can be seen did."""


class Ledger(NamedTuple):
    """The last word of an enclosure, read when it is empty and before it is removed.

    Bytes; None where the backend cannot know. `peak_current` is memory.peak, which counts
    reclaimable cache too; `peak_working_set` is the largest reading of U. `oom_above` is whose
    OOM killed in the run: the path of a cgroup above, ABOVE_NAMESPACE or THE_HOST; None: nobody's.
    """

    peak_current: int | None = None
    peak_working_set: int | None = None
    high_events: int | None = None
    high_ignored: int | None = None
    counters: tuple[CounterDelta, ...] = ()
    left_behind: tuple[Survivor, ...] = ()
    unremoved: str = ""
    oom_above: str | None = None


class Reaction(NamedTuple):
    """Seconds until the polite signal, from what a crossing showed first; None: it showed none."""

    from_first_event: float | None = None
    from_first_over: float | None = None


class Outcome(NamedTuple):
    """Everything that is known about a run that is over."""

    name: str
    backend: str
    verdict: Verdict
    command_status: CommandStatus | None
    limits: Limits
    ledger: Ledger
    timeline: tuple[Moment, ...] = ()
    trigger: Reading | None = None
    reaction: Reaction = Reaction()
    grace: float = 0.0
    grace_used: float | None = None
    wall_in_grace: bool = False
    asked_by: str = ""
    survivors_killed: int = 0
    elapsed: float = 0.0
    unenforced: tuple[str, ...] = ()
    failure: str = ""
    exit_status: int = 0
    interrupted_by: int | None = None
    """The signal of a key (INT of Ctrl-C, QUIT) that ended the command; None: no key did."""


def exit_status(verdict: Verdict, status: CommandStatus | None, *, preserve: bool) -> int:
    """The exit status for a run that was started (docs/verdicts.md)."""
    if verdict in LIMIT_VERDICTS and not preserve:
        return EXIT_LIMIT
    return command_exit_status(status)

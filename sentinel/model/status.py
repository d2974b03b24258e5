"""What a run tells about itself while it runs."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

from sentinel.model.outcome import Moment
from sentinel.model.snapshot import Reading
from sentinel.model.spec import Count, Limits, StopPlan

if TYPE_CHECKING:
    from sentinel.model.request import Reply, Request


class Tally(NamedTuple):
    """Counters and peaks of a run so far. Bytes; None where the backend cannot know."""

    peak_current: int | None = None
    peak_working_set: int | None = None
    high_events: int = 0
    high_ignored: int = 0


class Pressure(NamedTuple):
    """Share of the last ten seconds in which some, or all, tasks waited for memory (PSI, %)."""

    some: float
    full: float


def counted(reading: Reading, count: Count) -> int | None:
    """The part of `reading` that is compared with the limit, bytes; None: unknown."""
    return {
        Count.ANON: reading.anon,
        Count.WORKINGSET: reading.working_set,
        Count.TOTAL: reading.current,
    }[count]


class RunStatus(NamedTuple):
    """One answer to `status`. Times in seconds, `started` since the epoch; sizes in bytes.

    `state` is a word of the escalation; `verdict` what ended the quiet life so far, empty while
    nothing did; `growth` in bytes per second, None while nobody can know.
    """

    name: str
    state: str
    verdict: str
    backend: str
    pid: int
    leaf: str
    command: str
    started: float
    elapsed: float
    reading: Reading | None
    tally: Tally
    limits: Limits
    stop: StopPlan
    growth: float | None = None
    frozen: bool = False
    pressure: Pressure | None = None

    @property
    def time_to_limit(self) -> float | None:
        """Seconds until the soft limit at the present growth; None when it does not grow."""
        if self.reading is None or self.growth is None or self.growth <= 0:
            return None
        used = counted(self.reading, self.limits.counted)
        used = self.reading.current if used is None else used
        return max(0.0, (self.limits.soft - used) / self.growth)


class Actions(NamedTuple):
    """How often each action was taken, and how long stops took (seconds, one per stop)."""

    counts: dict[str, int]
    reactions: tuple[float, ...] = ()
    terminations: tuple[float, ...] = ()


class Run(Protocol):
    """A guarded run, as those see it that observe or steer it. Called in the guard's one thread."""

    @property
    def name(self) -> str:
        """How the run is called."""

    @property
    def pid(self) -> int:
        """Number of the main process; 0 before it was started."""

    def status(self, now: float) -> RunStatus:
        """What it is like at `now` (monotonic seconds); never blocks, signals nobody."""

    def actions(self) -> Actions:
        """What the guard has done so far."""

    def members(self) -> tuple[int, ...]:
        """Process numbers of everybody in the run, the main process first."""

    def timeline(self) -> tuple[Moment, ...]:
        """What happened so far."""

    def request(self, request: "Request", asker: str, now: float) -> "Reply":
        """Begin what `asker` ("uid 1000") asks for. Never blocks; the end is told as moments."""

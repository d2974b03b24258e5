"""The Protocol that both backends fulfil: what holds a run's processes, watches and ends them."""

from typing import NamedTuple, Protocol

from sentinel.model.events import Event
from sentinel.model.outcome import Ledger, Survivor
from sentinel.model.snapshot import Reading
from sentinel.model.spec import Limits
from sentinel.model.status import Pressure, Tally


class Process(Protocol):
    """The main process of a run, held so that its number cannot mean another process."""

    pid: int

    def send(self, signal: int) -> bool:
        """Deliver `signal`; False when the process is gone."""


class Waiter(Protocol):
    """The guard's one wait, as far as a backend needs it."""

    def watch(self, fd: int, token: object, *, priority: bool = False) -> None:
        """Report `token` while `fd` is readable, or (`priority`) has POLLPRI pending."""

    def forget(self, fd: int) -> None:
        """Stop watching `fd`; what happens meanwhile is told by the next `watch`."""


class Look(NamedTuple):
    """What a look showed, and when to look again (monotonic seconds; None: when woken).

    `news`: what was done that the policy need not know, each as what and detail.
    """

    events: tuple[Event, ...] = ()
    again: float | None = None
    news: tuple[tuple[str, str], ...] = ()


class Enclosure(Protocol):
    """Holds one run. Methods never block for long; vanished processes and files are no errors."""

    backend: str
    where: str
    """The leaf's directory; empty when there is none."""
    unenforced: tuple[str, ...]

    def enter(self) -> None:
        """Join the enclosure. Runs in the forked child, before the command is executed.

        Raises KernelFileError: a failure to place is a failure to start.
        """

    def adopt(self, main: Process, waiter: Waiter, now: float) -> None:
        """Watch over the run whose main process is `main`; descriptors are watched as `self`."""

    def look(self, now: float) -> Look:
        """Judge the memory now. Called when a descriptor is ready or the time is due."""

    def set_wire(self, *, armed: bool, now: float) -> None:
        """Arm the soft limit as a trip-wire, or lift it so that it cannot brake."""

    def ask(self, signal: int, *, main_only: bool) -> int:
        """Send the polite signal, then CONT, to each process not asked yet; how many were."""

    def kill(self) -> int:
        """SIGKILL everything inside; how many processes were there to kill."""

    def is_empty(self) -> bool:
        """Whether no living process is left. Zombies do not count."""

    def spare(self, pid: int) -> None:
        """Leave child `pid`, a process of Sentinel's own, out of the run."""

    def reaped(self, pid: int) -> None:
        """Learn that child `pid` was reaped, so that its number may mean another process."""

    def survivors(self) -> tuple[Survivor, ...]:
        """The living processes inside, for a report."""

    def read(self, now: float) -> Reading | None:
        """The memory, for an observer: judges nothing. None when it cannot be known."""

    def tally(self) -> Tally:
        """Counters and peaks so far."""

    def pressure(self) -> Pressure | None:
        """How long the run waited for memory; None where nobody measures it."""

    def members(self) -> tuple[int, ...]:
        """Numbers of the processes inside, the main process first."""

    def set_limits(self, limits: Limits, now: float) -> None:
        """Replace soft and hard limit of a run that is not being stopped; look again after it.

        Raises KernelFileError, and the old limits hold.
        """

    def freeze(self, *, frozen: bool) -> None:
        """Halt every process where it is, or let them go on. Raises SentinelError."""

    def reclaim(self, size: int | None) -> None:
        """Begin to free `size` bytes, None: all that can be; look again after it.

        The end is news of a look. Raises SentinelError where that cannot be done.
        """

    def close(self) -> Ledger:
        """Read the last counters, remove what was made, and release the descriptors."""


class Sweep(Protocol):
    """Clears away what dead guards left behind. Never touches a run whose lock is held."""

    def begin(self, waiter: Waiter) -> None:
        """Kill what is left of dead runs; descriptors are watched as `self`."""

    def turn(self) -> bool:
        """Remove what has become empty; True when nothing is left to do."""

    def close(self) -> None:
        """Release the descriptors; what is not gone yet waits for the next start."""

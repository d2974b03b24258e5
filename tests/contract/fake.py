"""An enclosure of real processes and a scripted memory, for the tests of what uses one.

Who has inherited the writing end of a pipe is inside. So membership, emptiness (end of file, which
epoll tells) and the indifference to zombies are the kernel's own, and the contract suite shows
that this fake holds and ends its processes as the real backends do. It has two limits: a process
that closes descriptors it does not know escapes it (none of the victims does), and it is too slow
for a churn, in which nobody lives for longer than a walk through /proc takes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from sentinel.enclosure import Look, Process, Waiter
from sentinel.linux.process import ask_member, process_stat, signal_process
from sentinel.model.errors import KernelFileError
from sentinel.model.events import Event
from sentinel.model.outcome import Ledger, Survivor
from sentinel.model.snapshot import Reading
from sentinel.model.spec import Limits
from sentinel.model.status import Pressure, Tally

MOST_ROUNDS = 50
"""Rounds of killing in one order: forkers are outrun or left to the next order."""


class Unobserved:
    """What no test asks of an enclosure that only the policy is tested with."""

    def read(self, now: float) -> Reading | None:
        """Nothing is known."""
        raise AssertionError(f"read at {now}")

    def tally(self) -> Tally:
        """Nothing was counted."""
        raise AssertionError("tally")

    def pressure(self) -> Pressure | None:
        """Nobody measures it."""
        raise AssertionError("pressure")

    def members(self) -> tuple[int, ...]:
        """Nobody."""
        raise AssertionError("members")

    def set_limits(self, limits: Limits, now: float) -> None:
        """Not changed."""
        raise AssertionError(f"{limits} at {now}")

    def freeze(self, *, frozen: bool) -> None:
        """Not halted."""
        raise AssertionError(f"freeze {frozen}")

    def spare(self, pid: int) -> None:
        """Nobody is left out."""
        raise AssertionError(f"spare {pid}")

    def reclaim(self, size: int | None) -> None:
        """Not freed."""
        raise AssertionError(f"reclaim {size}")


class FakeEnclosure:
    """Holds a run; tells at `script`'s seconds after its start what the script says."""

    backend = "fake"
    where = ""

    def __init__(
        self,
        script: Sequence[tuple[float, Event]] = (),
        *,
        unenforced: tuple[str, ...] = (),
        immortal: bool = False,
    ) -> None:
        """`immortal`: it never becomes empty, as with a process in uninterruptible sleep."""
        self.unenforced = unenforced
        self.immortal = immortal
        self.done: list[str] = []
        self.memory: Reading | None = None
        self.counted = Tally()
        self.refusals: dict[str, KernelFileError] = {}
        self._script = list(script)
        self._alive, self._member = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._pipe = f"pipe:[{os.fstat(self._member).st_ino}]"
        self._asked: set[int] = set()
        self._main: Process | None = None
        self._waiter: Waiter | None = None
        self._began = 0.0

    def refuse(self, *actions: str) -> None:
        """Let the methods of these names fail as a kernel file would."""
        for action in actions:
            self.refusals[action] = KernelFileError("write", f"/fake/{action}", 13)

    def _do(self, action: str, note: str = "") -> None:
        self.done.append(note or action)
        if action in self.refusals:
            raise self.refusals[action]

    def enter(self) -> None:
        """Keep the pipe over the exec."""
        self._do("enter")
        os.set_inheritable(self._member, True)

    def adopt(self, main: Process, waiter: Waiter, now: float) -> None:
        """Let go of our own end, so that the last member's end is the end of file."""
        self._do("adopt")
        self._main, self._waiter, self._began = main, waiter, now
        if self._member < 0:
            raise AssertionError("adopted twice")
        os.close(self._member)
        self._member = -1
        waiter.watch(self._alive, self)

    def look(self, now: float) -> Look:
        """Everything that the script has told by now."""
        self._do("look")
        due = [event for at, event in self._script if self._began + at <= now]
        del self._script[: len(due)]
        again = None if not self._script else self._began + self._script[0][0]
        return Look(tuple(due), again)

    def set_wire(self, *, armed: bool, now: float) -> None:
        """Only noted."""
        del now
        self._do("set_wire", "arm" if armed else "lift")

    def ask(self, signal: int, *, main_only: bool) -> int:
        """The main process first, then every other member that was not asked yet."""
        self._do("ask", f"ask {signal}{' main' if main_only else ''}")
        main = self._main
        asked = 0
        if main is not None and main.pid not in self._asked:
            self._asked.add(main.pid)
            asked += main.send(signal) and main.send(SIGCONT)
        for pid in () if main_only else self.members():
            if pid not in self._asked:
                self._asked.add(pid)
                asked += ask_member(pid, signal, self._is_member)
        return asked

    def kill(self) -> int:
        """SIGKILL member by member until nobody new turns up."""
        self._do("kill")
        killed: set[int] = set()
        for _ in range(MOST_ROUNDS):
            fresh = set(self.members()) - killed
            if not fresh:
                break
            for pid in fresh:
                ask_member(pid, signal.SIGKILL, self._is_member)
            killed |= fresh
        return len(killed)

    def is_empty(self) -> bool:
        """Whether nobody holds the pipe any more."""
        if self.immortal:
            return False
        try:
            return os.read(self._alive, 1) == b""
        except BlockingIOError:
            return False

    def members(self) -> tuple[int, ...]:
        """Processes that hold the pipe; a zombie holds nothing. The main process comes first."""
        pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
        found = [pid for pid in pids if pid != os.getpid() and self._is_member(pid)]
        main = 0 if self._main is None else self._main.pid
        return tuple(sorted(found, key=lambda pid: pid != main))

    def read(self, now: float) -> Reading | None:
        """What the test says that the memory is."""
        self._check_open()
        return None if self.memory is None else self.memory._replace(at=now)

    def tally(self) -> Tally:
        """What the test says that was counted."""
        self._check_open()
        return self.counted

    def pressure(self) -> Pressure | None:
        """Nobody measures it here."""
        self._check_open()
        return None

    def _check_open(self) -> None:
        if self._alive < 0:
            raise AssertionError("asked after it was closed")

    def set_limits(self, limits: Limits, now: float) -> None:
        """Only noted."""
        del now
        self._do("set_limits", f"limits {limits.soft} {limits.hard}")

    def freeze(self, *, frozen: bool) -> None:
        """SIGSTOP or SIGCONT to whoever is inside."""
        self._do("freeze", "freeze" if frozen else "thaw")
        number = signal.SIGSTOP if frozen else signal.SIGCONT
        for pid in self.members():
            signal_process(pid, number)

    def reclaim(self, size: int | None) -> None:
        """Only noted."""
        self._do("reclaim", f"reclaim {size}")

    def _is_member(self, pid: int) -> bool:
        folder = f"/proc/{pid}/fd"
        try:
            return any(_target(f"{folder}/{fd}") == self._pipe for fd in os.listdir(folder))
        except OSError:
            return False

    def spare(self, pid: int) -> None:
        """Only noted: who holds no end of the pipe is no member."""
        self._do("spare", f"spare {pid}")

    def reaped(self, pid: int) -> None:
        """Its number may come again."""
        self.done.append(f"reaped {pid}")
        self._asked.discard(pid)

    def survivors(self) -> tuple[Survivor, ...]:
        """Members that live, by name and state."""
        stats = (process_stat(pid) for pid in self.members())
        return tuple(Survivor(stat.pid, stat.name, stat.state) for stat in stats if stat)

    def close(self) -> Ledger:
        """Release the pipe."""
        ledger = Ledger(left_behind=self.survivors())
        if self._waiter is not None:
            self._waiter.forget(self._alive)
        for fd in (self._alive, self._member):
            if fd >= 0:
                os.close(fd)
        self._alive = self._member = -1
        self._do("close")
        return ledger


SIGCONT = signal.SIGCONT


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""

"""Processes: /proc/PID/stat (proc(5)), signals to our own child, reaping."""

import os
import signal
from collections.abc import Callable
from typing import NamedTuple

from sentinel.model.outcome import CommandStatus, Exited, Signalled


class ProcessStat(NamedTuple):
    """What /proc/PID/stat says. `start` is in clock ticks since boot: the identity of a pid."""

    pid: int
    name: str
    state: str
    parent: int
    start: int


def split_stat(text: bytes) -> tuple[int, str, list[bytes]]:
    """Pid, name and, from the state on, the other fields of one line of /proc/PID/stat.

    The name may hold spaces, parentheses and odd bytes.
    """
    opening, closing = text.index(b"("), text.rindex(b")")
    name = text[opening + 1 : closing].decode(errors="backslashreplace")
    return int(text[:opening]), name, text[closing + 2 :].split()


def parse_stat(text: bytes) -> ProcessStat:
    """Read one line of /proc/PID/stat."""
    pid, name, fields = split_stat(text)
    return ProcessStat(pid, name, fields[0].decode(), int(fields[1]), int(fields[19]))


def read_stat(pid: int) -> bytes | None:
    """The line of /proc/PID/stat; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None


def process_stat(pid: int) -> ProcessStat | None:
    """The stat of `pid`; None when there is no such process."""
    text = read_stat(pid)
    return None if text is None else parse_stat(text)


def signal_process(pid: int, number: int) -> bool:
    """Send `number` to `pid`; False when it is gone or not ours to signal."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def kill_process(pid: int) -> bool:
    """Send SIGKILL; False when it is gone or not ours to signal."""
    return signal_process(pid, signal.SIGKILL)


def ask_member(pid: int, number: int, is_member: Callable[[int], bool]) -> bool:
    """Send `number` and CONT to `pid` if `is_member` still holds for the process meant.

    The pidfd (Linux 5.3) is opened before the question, so that the answer and the signal are
    about one process even when the number is reused in between.
    """
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not is_member(pid):
            return False
        signal.pidfd_send_signal(fd, number)
        signal.pidfd_send_signal(fd, signal.SIGCONT)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(fd)
    return True


class Child:
    """Our direct child. Its number cannot be reused while it is not reaped; later it is inert."""

    def __init__(self, pid: int) -> None:
        """`pid` must be an unreaped child of this process."""
        self.pid = pid
        self.status: CommandStatus | None = None

    def send(self, number: int) -> bool:
        """Deliver signal `number`; False once it has ended."""
        return self.status is None and signal_process(self.pid, number)

    def begot(self, pid: int) -> bool | None:
        """Whether `pid` is this child or descends from it, by its parents: orphans do not.

        None: it is gone, and nobody knows any more.
        """
        while self.status is None and pid > 1 and pid != self.pid:
            stat = process_stat(pid)
            if stat is None:
                return None
            pid = stat.parent
        return self.status is None and pid == self.pid

    def is_stopped(self) -> bool:
        """Whether a signal has stopped it and nothing has continued it yet."""
        stat = None if self.status is not None else process_stat(self.pid)
        return stat is not None and stat.state == "T"

    def rests(self) -> bool:
        """Whether it is stopped, and by a stop that was reaped: there is no newer report."""
        return self.is_stopped() and not _has_news(self.pid)

    def go_on(self) -> bool:
        """Send SIGCONT when it rests; whether it did.

        After a newer stop it does not: whoever continued it meanwhile needs no help.
        """
        return self.rests() and self.send(signal.SIGCONT)


def _has_news(pid: int) -> bool:
    try:
        news = os.waitid(os.P_PID, pid, os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return news is not None


GUARD_NICE = -10


def prefer_this_process() -> bool:
    """Have the scheduler run the guard soon after it wakes; False where that is not permitted.

    Beside a hundred runnable leakers on one CPU a guard of equal rank waited 160 ms for its
    second reading. Call it after the command was started: niceness is inherited.
    """
    try:
        os.setpriority(os.PRIO_PROCESS, 0, min(GUARD_NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    except OSError:
        return False
    return True


class ChildReport(NamedTuple):
    """A child ended (`status`) or was stopped by signal `stopped_by`."""

    pid: int
    status: CommandStatus | None = None
    stopped_by: int | None = None


def reap() -> list[ChildReport]:
    """Collect every child that changed state, orphans that fell to us included (waitid(2))."""
    reports: list[ChildReport] = []
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WSTOPPED | os.WNOHANG)
        except ChildProcessError:
            return reports
        if found is None:
            return reports
        if found.si_code == os.CLD_EXITED:
            report = ChildReport(found.si_pid, status=Exited(found.si_status))
        elif found.si_code in (os.CLD_KILLED, os.CLD_DUMPED):
            report = ChildReport(found.si_pid, status=Signalled(found.si_status))
        else:
            report = ChildReport(found.si_pid, stopped_by=found.si_status)
        reports.append(report)

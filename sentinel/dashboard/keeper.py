"""Between a terminal and a guarded command with a dashboard: keeps the output, waits, passes on.

Three processes: the guard, which leads a session on a pty of its own and is the plain guard; the
viewer, which draws and may die at any time; and this one, the parent of both, which the shell
waits for. It keeps the pty's other end, and so must do little and import little.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from sentinel.dashboard.logfile import LOST, NEWS, RunLog
from sentinel.linux.loop import Loop
from sentinel.linux.process import Child, kill_process, reap
from sentinel.linux.pty import Pty
from sentinel.linux.signals import Received, SignalDesk, is_key, is_stop
from sentinel.linux.terminal import (
    GIVE_BACK,
    Terminal,
    in_foreground,
    terminal_size,
)
from sentinel.model.outcome import CommandStatus, Exited, Signalled, command_exit_status
from sentinel.model.signals import NUMBERS, SIGCONT, SIGKILL, signal_name

PIECE = 64 << 10
"""Bytes taken from the pty at a time."""

LAST_WORDS = 16 << 20
"""Bytes taken at most after the end, from processes that nobody could kill."""

VIEWER_SECONDS = 3.0
"""How long the viewer may take to give the terminal back."""

LAST_SECONDS = 1.0
"""How long the last output may wait for a slow terminal; the log has it all."""

BLOCKED_SECONDS = 0.05
"""Between two attempts to write to a terminal that takes nothing now."""


class Household(NamedTuple):
    """Who is there, and what connects them. `words` brings the lines that the guard says.

    `bell` tells the viewer of news; its end tells it to end.
    """

    guard: Child
    viewer: Child
    words: int
    bell: int


class Callbacks(NamedTuple):
    """What belongs to the room that prints: `say` a line of ours, `pass_on` one of the guard's."""

    say: Callable[[str], None]
    pass_on: Callable[[bytes], None]


class Keeper:
    """Runs until the guard has ended and the terminal is given back."""

    def __init__(
        self, home: Household, pty: Pty, log: RunLog, terminal: Terminal, callbacks: Callbacks
    ) -> None:
        """Take over; `terminal` is the user's, as it was before anybody changed it."""
        self._home = home
        self._pty = pty
        self._log = log
        self._terminal = terminal
        self._callbacks = callbacks
        self._loop = Loop()
        self._desk = SignalDesk()
        self._said: list[bytes] = []
        self._half_line = b""
        self._shown = -1
        self._waiting = b""

    def run(self) -> int:
        """The guard's exit status, or minus the signal that ended it (137 for SIGKILL)."""
        for fd in (self._desk.fd, self._pty.master, self._home.words):
            self._loop.watch(fd, fd)
        try:
            self._reap()  # who ended before the desk was open is not told again
            if self._home.viewer.status is not None and self._shown < 0:
                self._viewer_ended(self._home.viewer.status)
            while self._home.guard.status is None:
                self._turn()
            self._finish_output()
        finally:
            self._see_off_viewer()
            self._loop.close()
            self._log.close()
            self._pty.close()
        self._pass_on_said()
        self._desk.close(final=True)
        return _status(self._home.guard.status)

    def _turn(self) -> None:
        until = self._loop.now() + BLOCKED_SECONDS if self._waiting else None
        ready = self._loop.wait(until)
        if self._desk.fd in ready:
            for received in self._desk.read():
                self._take(received)
        if self._home.words in ready:
            self._hear()
        if self._waiting:
            self._show(b"")
        elif self._pty.master in ready:
            self._keep(self._pty.read(PIECE))

    def _keep(self, data: bytes) -> None:
        """Write output down and show it, or have it shown."""
        if not data:
            return
        self._log.write(data)
        if self._home.viewer.status is None:
            self._ring()
        else:
            self._show(data)

    def _ring(self) -> None:
        """Tell the viewer that there is news."""
        with suppress(OSError):  # it has gone, or was told often enough
            os.write(self._home.bell, LOST if self._log.failure else NEWS)

    def _show(self, data: bytes) -> None:
        """Pass output on to the terminal, now that there is no dashboard on it."""
        self._waiting += data
        if self._shown < 0:
            self._waiting = b""
            return
        # While the terminal takes nothing, nothing is taken from the command: as without us.
        self._loop.forget(self._pty.master)
        try:
            while self._waiting:
                self._waiting = self._waiting[os.write(self._shown, self._waiting) :]
        except BlockingIOError:
            return
        except OSError:
            self._waiting = b""
            self._shown = -1
        self._loop.watch(self._pty.master, self._pty.master)

    def _hear(self) -> None:
        """Take what the guard says."""
        try:
            data = os.read(self._home.words, PIECE)
        except BlockingIOError:
            return
        if not data:
            self._loop.forget(self._home.words)
            return
        *lines, self._half_line = (self._half_line + data).split(b"\n")
        for line in lines:
            self._keep_line(line + b"\n")

    def _keep_line(self, line: bytes) -> None:
        """A line of the guard's stands in the log; people hear it when the terminal is free."""
        self._log.write(line)
        if self._home.viewer.status is None:
            self._said.append(line)
            self._ring()
        else:
            self._callbacks.pass_on(line)

    def _pass_on_said(self) -> None:
        said, self._said = self._said, []
        for line in said:
            self._callbacks.pass_on(line)

    def _take(self, received: Received) -> None:
        if received.number == NUMBERS["CHLD"]:
            self._reap()
        elif received.number == NUMBERS["WINCH"]:
            if self._home.viewer.status is not None:
                self._pty.resize(*terminal_size(self._terminal.fd))
        elif is_stop(received):
            self._suspend(received.number)
        elif is_key(received):
            self._pty.signal(received.number)
        elif received.number != SIGCONT:
            self._home.guard.send(received.number)

    def _suspend(self, number: int) -> None:
        """Stop as the shell wants it, the run frozen meanwhile."""
        from sentinel.dashboard.suspension import freeze

        # A key stops the viewer, too; who stops this process alone means both all the same.
        self._home.viewer.send(number)
        go_on = freeze(self._home.guard.pid)
        self._desk.stop_self(number)
        go_on()
        self._home.viewer.send(SIGCONT)

    def _reap(self) -> None:
        for report in reap():
            for child in (self._home.guard, self._home.viewer):
                if report.pid == child.pid and report.status is not None:
                    child.status = report.status
                    if child is self._home.viewer:
                        self._viewer_ended(report.status)

    def _viewer_ended(self, status: CommandStatus) -> None:
        """The dashboard is gone: give the terminal back in its place and go on without it."""
        closed = status == Exited(0)
        if not closed:
            self._restore_terminal()
        if self._home.guard.status is not None:
            return
        with suppress(OSError):
            # A description of its own: making the shared one non-blocking is not ours to do.
            flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
            self._shown = os.open("/proc/self/fd/1", flags)
        self._pty.resize(*terminal_size(self._terminal.fd))
        how = "closed" if closed else f"gone ({_told(status)})"
        self._pass_on_said()
        self._callbacks.say(f"the dashboard is {how}, the command goes on; see sentinel top")

    def _restore_terminal(self) -> None:
        if in_foreground(self._terminal.fd):
            with suppress(OSError):
                os.write(self._terminal.fd, GIVE_BACK)
        self._terminal.insist()

    def _finish_output(self) -> None:
        """Take what was written before the end and is still on its way."""
        taken = 0
        while taken < LAST_WORDS and (data := self._pty.read(PIECE)):
            taken += len(data)
            self._keep(data)
        self._hear()
        until = self._loop.now() + LAST_SECONDS
        while self._waiting and self._loop.now() < until:
            self._turn()

    def _see_off_viewer(self) -> None:
        """End the viewer: it is told, then it is killed and the terminal given back for it."""
        viewer = self._home.viewer
        os.close(self._home.bell)
        until = self._loop.now() + VIEWER_SECONDS
        while viewer.status is None and self._loop.now() < until:
            if self._desk.fd in self._loop.wait(until):
                for received in self._desk.read():
                    if received.number == NUMBERS["CHLD"]:
                        self._reap()
        if viewer.status is None:
            kill_process(viewer.pid)
            os.waitpid(viewer.pid, 0)
            self._restore_terminal()


def _status(status: CommandStatus | None) -> int:
    """How to end: as the guard did, by the same signal where a process can do that to itself."""
    if isinstance(status, Signalled) and status.signal != SIGKILL:
        return -status.signal
    return command_exit_status(status)


def _told(status: CommandStatus) -> str:
    if isinstance(status, Signalled):
        return signal_name(status.signal)
    return f"status {status.code}"

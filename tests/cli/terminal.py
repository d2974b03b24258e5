"""A real terminal for the tests: a pty, the program that leads its session, and its screen."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, NoReturn, TypeVar

import pyte

from tests.cli.processes import children, end, members, state
from tests.victims.build import victim

SENTINEL = os.path.join(os.path.dirname(sys.executable), "sentinel")
GUARD = f"{SENTINEL} exec -q --"
PATIENCE = 120.0
"""Seconds for what should happen at once, on any machine."""
PROMPT = "ready$ "
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "XDG_CONFIG_HOME": "/nonexistent",
    "HISTFILE": "/dev/null",
    "INPUTRC": "/dev/null",
    "TERM": "xterm",
    "LANG": "C.UTF-8",
    "PS1": PROMPT,
}
BASH = ("bash", "--norc", "--noprofile")
T = TypeVar("T")


class Size(NamedTuple):
    """Of a terminal."""

    rows: int = 24
    columns: int = 80


class Terminal:
    """A pty with a program on it, which leads the session that owns it (login_tty(3))."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        size = Size()
        self.screen = pyte.Screen(size.columns, size.rows)
        self._stream = pyte.ByteStream(self.screen)
        self.text = ""
        self._expected = 0
        self._status: int | None = None
        self.pid, self.fd = os.forkpty()
        if self.pid == 0:
            _become(argv, {**ENVIRONMENT, "V": victim(), **(env or {})}, size)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self.fd, keys.encode())

    def expect(self, pattern: str, patience: float = PATIENCE) -> re.Match[str]:
        """Wait for `pattern` in what was shown since the last thing expected."""
        limit = time.monotonic() + patience
        while True:
            found = re.compile(pattern, re.DOTALL).search(self.text, self._expected)
            if found:
                self._expected = found.end()
                return found
            assert self._read(limit - time.monotonic()), f"never shown: {pattern!r}"

    def wait_for(self, what: str, condition: Callable[[], T], patience: float = PATIENCE) -> T:
        """Wait until `condition` is true, while the screen goes on; its value."""
        limit = time.monotonic() + patience
        while not (value := condition()):
            assert time.monotonic() < limit, f"never: {what}"
            if self.fd < 0 or not self._read(0.01):
                time.sleep(0.005)
        return value

    def _read(self, patience: float) -> bool:
        """Take what is shown within `patience` seconds; False when there is nothing."""
        if not select.select([self.fd], [], [], max(0.0, patience))[0]:
            return False
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:  # EIO: nobody has the terminal open any more
            return False
        self._stream.feed(data)
        self.text += data.decode(errors="replace")
        return True

    def shown(self) -> str:
        """The screen as a person sees it, and the text that nobody expected yet."""
        lines = "\n".join(f"| {line.rstrip()}" for line in self.screen.display).rstrip("| \n")
        return f"on the screen:\n{lines}\nnot expected yet: {self.text[self._expected :]!r}"

    def resize(self, size: Size) -> None:
        """Give the terminal another size."""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self.screen.resize(*size)

    @property
    def foreground(self) -> int:
        """The foreground process group."""
        return os.tcgetpgrp(self.fd)

    @property
    def modes(self) -> list[object]:
        """The terminal's modes (tcgetattr(3))."""
        return list(termios.tcgetattr(self.fd))

    def hang_up(self) -> None:
        """Close the terminal, as when a window is closed or a connection is lost."""
        os.close(self.fd)
        self.fd = -1

    def wait(self) -> int:
        """How the session's leader ended: its exit status, or minus the signal."""
        self.wait_for("the end of the session's leader", self._is_over)
        assert self._status is not None
        return self._status

    def _is_over(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status is not None

    def close(self) -> None:
        """Kill whoever is left of the session."""
        for pid in members(self.pid):
            if pid != self.pid:
                end(pid)
        if not self._is_over():
            end(self.pid)
            os.waitpid(self.pid, 0)
        if self.fd >= 0:
            os.close(self.fd)


class Shell(Terminal):
    """An interactive bash with job control, its commands guarded where they say `$S`."""

    def __init__(self, guard: str, env: Mapping[str, str] | None = None) -> None:
        super().__init__([*BASH, "--noediting", "-i"], {**(env or {}), "S": guard})
        self._guard = guard

    def prompt(self) -> str:
        """Wait for the next prompt; what was shown before it, each number but digits as N."""
        return steady(self.expect(f"(.*?){re.escape(PROMPT)}")[1])

    def type(self, line: str) -> None:
        """Type a command line and see it echoed."""
        self.press(line + "\n")
        self.expect(re.escape(line) + "\r\n")

    def run(self, line: str) -> str:
        """Type a command line; what it shows up to the next prompt."""
        self.type(line)
        return self.prompt()

    def ask(self, line: str) -> str:
        """Type a command line; the first line that it shows."""
        self.type(line)
        answer = self.expect("(.*?)\r\n")[1]
        self.prompt()
        return answer

    def foreground_job(self) -> Job:
        """The job in the foreground, once its command runs and has said `begun`."""
        self.expect("begun\r\n")
        return self.job(self.foreground)

    def job(self, leader: int) -> Job:
        """The job that process `leader` was started as, once its command runs."""
        if not self._guard:
            return Job(leader, leader)
        return Job(leader, self.wait_for("the command", lambda: children(leader))[0])


class Job(NamedTuple):
    """A command as the shell sees it: Sentinel and the command, or the command alone, twice."""

    leader: int
    command: int

    def states(self) -> str:
        """The letters that ps shows for the two."""
        return state(self.leader) + state(self.command)


@contextmanager
def terminal(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    """A terminal with `argv` on it. A failure shows its screen."""
    with _shown(Terminal(argv, env)) as opened:
        yield opened


@contextmanager
def shell(guard: str = GUARD, env: Mapping[str, str] | None = None) -> Iterator[Shell]:
    """A shell whose `$S` is `guard`. A failure shows its screen."""
    opened = Shell(guard, env)
    with _shown(opened):
        opened.prompt()
        yield opened


@contextmanager
def _shown(opened: Terminal) -> Iterator[Terminal]:
    try:
        yield opened
    except BaseException as error:
        error.add_note(opened.shown())
        raise
    finally:
        opened.close()


def alike(
    scenario: Callable[[Shell], T], guard: str = GUARD, env: Mapping[str, str] | None = None
) -> T:
    """What `scenario` finds in a shell, which must be the same with `guard` and without."""
    with shell("", env) as plain:
        expected = scenario(plain)
    with shell(guard, env) as guarded:
        found = scenario(guarded)
        assert found == expected
    return found


def steady(text: str) -> str:
    """`text` without what differs between two runs: pids, times, ends of lines."""
    return re.sub(r"\d{2,}", "N", text).replace("\r\n", "\n")


def _become(argv: Sequence[str], env: Mapping[str, str], size: Size) -> NoReturn:
    """Be `argv` in the forked child, with no signal state of the test runner's."""
    try:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.closerange(3, 64)
        os.execvpe(argv[0], list(argv), env)
    finally:
        os._exit(99)

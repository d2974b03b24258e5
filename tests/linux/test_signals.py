"""Signals with their senders: from a keyboard, a hang-up, a process; stopping and going on."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import struct
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.lab import ROOT
from tests.linux.launching import ENVIRONMENT
from tests.victims.running import wait_until

LISTENER = os.path.join(ROOT, "tests", "linux", "listener.py")
ME = {"pid": os.getpid(), "uid": os.getuid(), "by_kernel": False}
KERNELS = {"pid": 0, "uid": 0, "by_kernel": True}


class Listener:
    """A listening process, on a terminal of its own or on none."""

    def __init__(self, pid: int, report: int, terminal: int | None) -> None:
        self.pid = pid
        self.terminal = terminal
        self._report = os.fdopen(report, "rb")

    def told(self) -> dict[str, Any]:
        """The next thing that it says."""
        line: dict[str, Any] = json.loads(self._report.readline())
        return line

    def kill(self, number: int) -> None:
        """Send a signal to it as this process."""
        os.kill(self.pid, number)

    def hang_up(self) -> None:
        """Close its terminal."""
        assert self.terminal is not None
        os.close(self.terminal)
        self.terminal = None

    def state(self) -> str:
        """Its state as ps shows it."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0]

    def close(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._report.close()
        if self.terminal is not None:
            os.close(self.terminal)


@contextmanager
def listening(
    *, terminal: bool = False, leader: bool = True, prepare: Callable[[], None] = lambda: None
) -> Iterator[Listener]:
    """A listener; on a terminal as its session's leader, or as that one's child.

    Without a terminal it is in a process group of its own in this session: not orphaned.
    """
    reading, writing = os.pipe()
    if terminal:
        pid, master = os.forkpty()
    else:
        pid, master = os.fork(), -1
    if pid == 0:
        try:
            os.close(reading)
            os.set_inheritable(writing, True)
            if not terminal:
                os.setpgid(0, 0)
            prepare()
            if not leader and os.fork():
                os.close(writing)
                while True:
                    signal.pause()
            argv = [sys.executable, LISTENER, str(writing)]
            os.execve(sys.executable, argv, ENVIRONMENT)
        finally:
            os._exit(99)
    os.close(writing)
    listener = Listener(pid, reading, master if terminal else None)
    try:
        own = listener.told()["pid"]
        if not leader:
            listener.pid, leader_pid = own, pid
        yield listener
    finally:
        if leader:
            listener.close()
        else:
            os.kill(own, signal.SIGKILL)
            listener.pid = leader_pid
            listener.close()


@pytest.mark.parametrize(
    ("number", "forwarded", "now"),
    [
        (signal.SIGTERM, True, True),
        (signal.SIGINT, True, True),
        (signal.SIGHUP, True, False),
        (signal.SIGQUIT, True, False),
        (signal.SIGUSR1, True, False),
        (signal.SIGUSR2, True, False),
        (signal.SIGTSTP, True, False),
        (signal.SIGTTIN, True, False),
        (signal.SIGTTOU, True, False),
        (signal.SIGWINCH, True, False),
        (signal.SIGCONT, False, False),
    ],
)
def test_what_a_process_sends(number: int, *, forwarded: bool, now: bool) -> None:
    """It comes with its sender and is forwarded; TERM and INT also mean `now` in a stop."""
    with listening() as listener:
        listener.kill(number)
        told = listener.told()
    assert told == {**ME, "number": number, "group": False, "forwarded": forwarded, "now": now}


@pytest.mark.parametrize(
    ("key", "number"),
    [(b"\x03", signal.SIGINT), (b"\x1c", signal.SIGQUIT), (b"\x1a", signal.SIGTSTP)],
)
def test_what_a_key_sends_reaches_the_whole_group(key: bytes, number: int) -> None:
    """The command has it already: not forwarded, and a keyboard INT never means `now`."""
    with listening(terminal=True) as listener:
        assert listener.terminal is not None
        os.write(listener.terminal, key)
        told = listener.told()
    assert told == {**KERNELS, "number": number, "group": True, "forwarded": False, "now": False}


def test_a_new_window_size_reaches_the_whole_group() -> None:
    """WINCH comes from the kernel to the foreground group."""
    with listening(terminal=True) as listener:
        assert listener.terminal is not None
        fcntl.ioctl(listener.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 7, 0, 0))
        told = listener.told()
    assert told == {
        **KERNELS,
        "number": signal.SIGWINCH,
        "group": True,
        "forwarded": False,
        "now": False,
    }


def test_a_hang_up_of_the_sessions_leader_is_for_the_leader_alone() -> None:
    """As the leader, Sentinel is the only one that the kernel tells, and must pass it on."""
    with listening(terminal=True) as listener:
        listener.hang_up()
        told = listener.told()
    assert told == {
        **KERNELS,
        "number": signal.SIGHUP,
        "group": False,
        "forwarded": True,
        "now": False,
    }


def test_a_hang_up_of_the_group_is_not_forwarded() -> None:
    """Not the leader: when the leader ends, the kernel tells the whole foreground group."""
    with listening(terminal=True, leader=False) as listener:
        listener.hang_up()
        told = listener.told()
    assert told == {
        **KERNELS,
        "number": signal.SIGHUP,
        "group": True,
        "forwarded": False,
        "now": False,
    }


def test_what_was_ignored_at_the_start_is_not_taken() -> None:
    """nohup: a HUP is no news, neither for Sentinel nor for its command."""
    with listening(prepare=lambda: _ignore(signal.SIGHUP, signal.SIGTTOU)) as listener:
        listener.kill(signal.SIGHUP)
        listener.kill(signal.SIGTTOU)
        listener.kill(signal.SIGUSR2)
        assert listener.told()["number"] == signal.SIGUSR2


def _ignore(*numbers: int) -> None:
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def test_what_was_blocked_at_the_start_is_taken() -> None:
    """A caller that blocks TERM cannot keep Sentinel from hearing it."""
    mask = {signal.SIGTERM, signal.SIGINT}
    with listening(prepare=lambda: _block(mask)) as listener:
        listener.kill(signal.SIGTERM)
        assert listener.told()["number"] == signal.SIGTERM


def _block(mask: set[signal.Signals]) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def test_many_signals_come_each_once() -> None:
    """Different signals sent while it cannot listen are all read, none twice."""
    numbers = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH}
    with listening() as listener:
        listener.kill(signal.SIGSTOP)
        wait_until("the stop", lambda: listener.state() == "T")
        for number in (*numbers, *numbers):
            listener.kill(number)
        listener.kill(signal.SIGCONT)
        told = [listener.told()["number"] for _ in range(len(numbers) + 1)]
        listener.kill(signal.SIGUSR2)
        assert listener.told()["number"] == signal.SIGUSR2
    assert sorted(told) == sorted({*numbers, signal.SIGCONT})


def test_it_stops_itself_as_its_command_was_stopped_and_goes_on() -> None:
    """Its parent sees it stopped by TSTP; after CONT it hears TSTP as before."""
    with listening() as listener:
        listener.kill(signal.SIGUSR1)
        assert listener.told()["number"] == signal.SIGUSR1
        _, status = os.waitpid(listener.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert os.WSTOPSIG(status) == signal.SIGTSTP
        listener.kill(signal.SIGCONT)
        assert listener.told() == {"stop_self": True}
        assert listener.told()["number"] == signal.SIGCONT
        listener.kill(signal.SIGTSTP)
        assert listener.told()["number"] == signal.SIGTSTP
        assert listener.state() != "T"


def test_it_does_not_stop_where_nobody_could_continue_it() -> None:
    """In an orphaned process group the kernel discards TSTP, and stopping is over at once."""
    with listening(terminal=True) as listener:
        listener.kill(signal.SIGUSR1)
        assert listener.told()["number"] == signal.SIGUSR1
        assert listener.told() == {"stop_self": True}


def test_it_stays_awake_when_only_the_command_was_stopped() -> None:
    """SIGSTOP to the command is somebody's purpose; the guard keeps watching."""
    with listening() as listener:
        listener.kill(signal.SIGHUP)
        assert listener.told()["number"] == signal.SIGHUP
        assert listener.told() == {"stop_self": False}
        assert listener.state() != "T"

"""Signals as data: blocked, read from a descriptor with their sender, restored for the command."""

import os
import signal
import struct
from collections.abc import Callable
from typing import NamedTuple

from sentinel.linux.libc import forbid_core_dump, signalfd

_TERMINAL = (
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGWINCH,
)
_FORWARDED = (
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCONT,
    # Nobody sends these to Sentinel but for its command, and they would end it: what a timer
    # that was set before the exec brings (alarm(2)), batch systems, a container's `docker stop`.
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGIO,
    signal.SIGPWR,
    signal.SIGSTKFLT,
    signal.SIGXCPU,
    *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
)
_STOPPING = frozenset({signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
_PYTHON_IGNORES = (signal.SIGPIPE, signal.SIGXFSZ)

_SIGINFO = struct.Struct("IiiII108x")
"""The head of struct signalfd_siginfo: signo, errno, code, pid, uid (signalfd(2))."""


class Received(NamedTuple):
    """A signal that was sent to Sentinel. `by_kernel`: by a terminal, a timer, not a process."""

    number: int
    pid: int
    uid: int
    by_kernel: bool


class SignalDesk:
    """Takes over the signals for the time of a run and remembers what the command must inherit.

    Signals that were ignored when Sentinel started stay ignored by both (nohup(1)).
    """

    def __init__(self) -> None:
        """Block the watched signals in this thread, the process's only one, and open the desk."""
        self._inherited_ignored = [
            number
            for number in (*_TERMINAL, *_FORWARDED, signal.SIGCHLD)
            if signal.getsignal(number) == signal.SIG_IGN
        ]
        # An inherited SIG_IGN on SIGCHLD would reap the command behind our back.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        watched = {*_TERMINAL, *_FORWARDED, signal.SIGCHLD}
        watched -= set(self._inherited_ignored) - {signal.SIGCHLD}
        # A write to a terminal by a background job would stop the guard (stty tostop).
        blocked = watched | {signal.SIGTTOU, signal.SIGTTIN, signal.SIGTSTP}
        self._inherited_mask = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        self.fd = signalfd([int(number) for number in watched])

    def read(self) -> list[Received]:
        """All signals that are pending."""
        received: list[Received] = []
        while True:
            try:
                data = os.read(self.fd, 16 * _SIGINFO.size)
            except BlockingIOError:
                return received
            for number, _, code, pid, uid in _SIGINFO.iter_unpack(data):
                received.append(Received(number, pid, uid, by_kernel=code > 0))

    def restore_for_command(self) -> None:
        """Give the forked child the dispositions and the mask that Sentinel was started with.

        Python ignores SIGPIPE and SIGXFSZ at its own start: they are default again. A handled
        signal that is pending here must not run our handler, so handlers go before the mask.
        """
        for number in _PYTHON_IGNORES:
            signal.signal(number, signal.SIG_DFL)
        if signal.getsignal(signal.SIGINT) not in (signal.SIG_DFL, signal.SIG_IGN):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        if signal.SIGCHLD in self._inherited_ignored:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._inherited_mask)

    def stop_self(self, number: int, still: Callable[[], bool] = lambda: True) -> bool:
        """Stop this process as its command was stopped; returns after the CONT.

        `still` tells whether the command is stopped yet: it is asked when a CONT to the whole
        group can no longer be missed, because it would discard the stop that is pending here.
        Only the terminal's stops are mirrored, with the same signal, so that the kernel's rule
        for orphaned process groups holds: where no shell could continue us, nothing stops.
        An explicit SIGSTOP to the command alone leaves the guard awake.
        """
        if number not in _STOPPING:
            return False
        previous = signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        if still():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
            signal.pthread_sigmask(signal.SIG_BLOCK, {number})
        else:
            signal.signal(number, signal.SIG_IGN)  # discards what is pending
        signal.signal(number, previous)
        return True

    def close(self, *, final: bool) -> None:
        """Close the descriptor; unless `final`, give this process its own mask back.

        At the end of Sentinel the signals stay blocked, so that none cuts off its last words.
        """
        os.close(self.fd)
        if not final:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._inherited_mask)


def reaches_whole_group(received: Received) -> bool:
    """Whether the command got `received` from the kernel too, so that forwarding would double it.

    A hang-up goes to the session's leader alone while it lives (tty_signal_session_leader).
    XCPU counts the CPU time of each process alone.
    """
    if not received.by_kernel:
        return False
    if received.number == signal.SIGHUP:
        return os.getsid(0) != os.getpid()
    return received.number in (*_TERMINAL, signal.SIGXCPU)


def is_forwarded(received: Received, *, early: bool = False) -> bool:
    """Whether the command is to be sent what Sentinel was sent.

    `early`: before there was a command, so that nobody but Sentinel got it. A CONT is never
    forwarded: it continues a command that is stopped, and no other.
    """
    if received.number in (signal.SIGCHLD, signal.SIGCONT):
        return False
    return early or not reaches_whole_group(received)


def may_be_for_group(received: Received) -> bool:
    """Whether the sender, a process of the run, may have meant its own group (kill(0, ...)).

    Nothing in siginfo tells kill(0, n) from kill(our pid, n). Who lives below Sentinel has
    little reason for the second, but for one case: everybody knows the pid of PID 1.
    """
    if os.getpid() == 1:
        return False
    try:
        return os.getpgid(received.pid) == os.getpgrp()
    except ProcessLookupError:
        return False


def is_stop(received: Received) -> bool:
    """Whether `received` asks for a stop that a terminal can ask for."""
    return received.number in _STOPPING


def is_key(received: Received) -> bool:
    """Whether a key of the terminal that asks for an end sent `received`: Ctrl-C and its like."""
    return received.by_kernel and received.number in (signal.SIGINT, signal.SIGQUIT)


def means_now(received: Received) -> bool:
    """Whether a process asked Sentinel itself to end: TERM or INT, not from a keyboard."""
    return received.number in (signal.SIGTERM, signal.SIGINT) and not received.by_kernel


def end_by(number: int) -> None:
    """End this process by signal `number`, as if it had never been handled, but without a core.

    Returns where no signal can do that: in the first process of a pid namespace.
    """
    forbid_core_dump()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})

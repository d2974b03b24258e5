"""Processes by identity: a pid alone may mean another process by the time it is signalled."""

import os
import signal
from enum import Enum
from typing import NamedTuple

from sentinel.linux.process import process_stat


class Identity(NamedTuple):
    """One process for ever: its number, and its start in clock ticks since boot (proc(5))."""

    pid: int
    start: int


class Delivery(Enum):
    """What became of a signal."""

    DELIVERED = "delivered"
    GONE = "gone"
    REFUSED = "refused"


def signal_identity(identity: Identity, *numbers: int) -> Delivery:
    """Send `numbers` in order to the very process meant; GONE when its pid means another one.

    The pidfd (Linux 5.3) is opened before the start time is compared, so that the comparison
    and the signals are about one process. Without one (older kernels, seccomp, no descriptors
    left) the window between the two is accepted. REFUSED: a set-user-ID program (kill(2)).
    """
    try:
        fd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return Delivery.GONE
    except OSError:
        fd = -1
    try:
        stat = process_stat(identity.pid)
        if stat is None or stat.start != identity.start:
            return Delivery.GONE
        for number in numbers:
            if fd < 0:
                os.kill(identity.pid, number)
            else:
                signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return Delivery.GONE
    except PermissionError:
        return Delivery.REFUSED
    finally:
        if fd >= 0:
            os.close(fd)
    return Delivery.DELIVERED


def open_identity(identity: Identity) -> int | None:
    """A pidfd of the very process meant, readable once it has ended; None when it is gone."""
    try:
        fd = os.pidfd_open(identity.pid)
    except OSError:
        return None
    stat = process_stat(identity.pid)
    if stat is not None and stat.start == identity.start:
        return fd
    os.close(fd)
    return None


def ask_identity(identity: Identity, number: int) -> Delivery:
    """Send `number`, then CONT: a stopped process cannot handle anything."""
    return signal_identity(identity, number, signal.SIGCONT)


def kill_identity(identity: Identity) -> Delivery:
    """Send SIGKILL."""
    return signal_identity(identity, signal.SIGKILL)


def has_children() -> bool:
    """Whether this process has any child, zombies and adopted orphans included (waitid(2)).

    The kernel's own answer in one call, without the races of a walk through /proc.
    """
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True

"""Liveness as a lock: flock(2) on a directory or file, held as long as the holder lives."""

from __future__ import annotations

import fcntl


def try_lock(fd: int) -> bool:
    """Take the exclusive lock of `fd` without waiting; False when somebody holds it.

    The lock belongs to the open file description: it ends with the last descriptor of it,
    a SIGKILL of the holder included, and means the same in every pid namespace.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

"""Who is alive, told by flock(2) on the file of each run: never by a pid number.

The guard of a run holds the exclusive lock for as long as it lives. Whoever looks takes the
shared one, without waiting: two who look at a time do not mistake each other for the guard.
A shared lock is held for microseconds and hinders only a guard that is about to start.
"""

from __future__ import annotations

import errno
import fcntl
import os

from sentinel.linux.locks import try_lock

_PATIENCE = 1000
"""Times that a starting guard looks again when it only met others who looked."""


def is_held(fd: int) -> bool:
    """Whether a guard holds the lock of the open file `fd`, which must not hold it itself."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def hold(fd: int) -> bool:
    """Take the exclusive lock of `fd` as a guard; False when another guard has it."""
    for _ in range(_PATIENCE):
        if try_lock(fd):
            return True
        if is_held(fd):
            return False
        os.sched_yield()  # somebody only looked, and is about to let go
    return False


def keep_from_starting(fd: int) -> bool:
    """Take the shared lock of `fd` until it is closed; False when a guard has the exclusive one."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_released(fd: int) -> None:
    """Sleep until no guard holds the lock of `fd`. A signal handler that raises ends the wait."""
    fcntl.flock(fd, fcntl.LOCK_SH)


def open_file(name: bytes, directory: int, owner: int) -> int | None:
    """Open the file `name` in `directory` to look at it; None unless a regular file of `owner`'s.

    Follows no symlink and waits for no FIFO.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(name, flags, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise
        return None
    status = os.fstat(fd)
    if status.st_mode & 0o170000 == 0o100000 and status.st_uid == owner:
        return fd
    os.close(fd)
    return None


def is_live(name: bytes, directory: int) -> bool:
    """Whether a guard of this user holds the lock of the file `name` in `directory`."""
    fd = open_file(name, directory, os.geteuid())
    if fd is None:
        return False
    try:
        return is_held(fd)
    finally:
        os.close(fd)

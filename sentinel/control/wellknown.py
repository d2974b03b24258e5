"""The one path that everybody knows: had by the first live run, passed on when that one ends.

Those who come later hold a pidfd of the one who has it (pidfd_open(2)): its end is an event,
whichever way it ended, and each then tries to take the path. bind(2) lets only one; a lock in
the runtime directory keeps two of one user from replacing a dead socket at a time. Nobody polls:
the only timer is a short one for a moment in which it cannot be told who has the path.

A holder whose pid cannot be seen, in another pid namespace, is not waited for: the next run
that starts after its end takes the path.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from sentinel.control.doors import Taken, claim, look
from sentinel.linux.locks import try_lock
from sentinel.linux.runtime import Place, open_runtime_directory
from sentinel.linux.sockets import Listener, Peer
from sentinel.model.errors import KernelFileError

WELL_KNOWN = "/tmp/sentinel.socket"  # noqa: S108 - never trusted: see doors.py
MODE = 0o666
"""connect(2) needs write permission; who may speak is decided by SO_PEERCRED."""

LOCK = "well-known.lock"
FIRST_RETRY = 0.02
MOST_RETRIES = 8
"""Doubling from FIRST_RETRY: five seconds in all. After that the next run's turn has come."""


class Watcher(Protocol):
    """What waits for descriptors."""

    def watch(self, fd: int, token: object) -> None:
        """Report `token` while `fd` is readable."""

    def forget(self, fd: int) -> None:
        """Stop watching `fd`."""


class Attempt(NamedTuple):
    """What came of a try. `warning` is for the user, empty when all is well; `again`: not sure."""

    warning: str = ""
    again: bool = False


class Succession:
    """One run's part in it: it has the path, or waits for its holder's end, or is out.

    `listener` is set while the path is ours, for others to watch. The holder's end is watched
    with this object as token: call `turn` when it is ready or due.
    """

    def __init__(self, path: str, watcher: Watcher, places: Sequence[Place] = ()) -> None:
        """Nothing is tried before `begin`."""
        self._path = path
        self._watcher = watcher
        self._places = places
        self._holder: int | None = None
        self._retries = 0
        self.due: float | None = None
        self.listener: Listener | None = None

    def begin(self, now: float) -> str:
        """Take the path or wait for it; a warning for the user, or empty."""
        attempt = self._try()
        self.due = None
        if attempt.again and self._retries < MOST_RETRIES:
            self.due = now + FIRST_RETRY * 2**self._retries
            self._retries += 1
        elif not attempt.again:
            self._retries = 0
        return attempt.warning

    def turn(self, now: float, *, ready: bool) -> str:
        """The holder has ended (`ready`), or it is time to try again; a warning, or empty."""
        if ready and self._holder is not None:
            self._leave_holder()
        elif self.due is None or now < self.due:
            return ""
        return self.begin(now)

    def close(self) -> None:
        """Pass the path on."""
        self._leave_holder()
        self.due = None
        if self.listener is not None:
            self.listener.remove()
            self.listener = None

    def _try(self) -> Attempt:
        try:
            lock = _open_lock(self._places)
        except KernelFileError as error:
            return Attempt(f"{self._path} is not used: {error}")
        try:
            if not try_lock(lock):
                return Attempt(again=True)
            taken = claim(self._path, MODE)
        except KernelFileError as error:
            return Attempt(f"{self._path} is not used: {error}")
        finally:
            os.close(lock)
        if isinstance(taken, Listener):
            self.listener = taken
            return Attempt()
        return self._await(taken)

    def _await(self, taken: Taken) -> Attempt:
        """Wait for the end of whoever has the path, if it is alive and can be waited for."""
        if not taken.live:
            return Attempt(f"{self._path} is {taken.why}: left untouched")
        if taken.holder is None:
            return Attempt(again=True)
        if taken.holder.pid in (0, os.getpid()):
            return Attempt()
        return Attempt(again=not self._hold(taken.holder))

    def _hold(self, holder: Peer) -> bool:
        """Be told of the end of `holder`, where that can be; False when it is over already."""
        try:
            fd = os.pidfd_open(holder.pid)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        if not self._is_still(holder):
            os.close(fd)
            return False
        self._holder = fd
        self._watcher.watch(fd, self)
        return True

    def _is_still(self, holder: Peer) -> bool:
        """Whether the pidfd is the holder's: it listens yet, so its number was not given anew."""
        try:
            taken = look(self._path)
        except OSError:
            return False
        return taken is not None and taken.holder == holder

    def _leave_holder(self) -> None:
        if self._holder is not None:
            self._watcher.forget(self._holder)
            os.close(self._holder)
            self._holder = None


def _open_lock(places: Sequence[Place]) -> int:
    """The lock of this user's runs. Raises KernelFileError."""
    directory = open_runtime_directory(places)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(LOCK, flags, 0o600, dir_fd=directory.fd)
    except OSError as error:
        path = os.path.join(directory.path, LOCK)
        raise KernelFileError("open", path, error.errno or 0) from error
    finally:
        directory.close()

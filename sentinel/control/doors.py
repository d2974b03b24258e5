"""A socket's path: taken when it is free, or when it is ours and dead; nothing else is touched.

Two of one user who take the same path at a time must hold a lock of theirs (`wellknown`), or
have paths of their own: between the look at a dead socket and its removal only the user whose
it is could put another one there.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from sentinel.linux.sockets import Listener, Peer, connect, listen
from sentinel.model.errors import KernelFileError

_ATTEMPTS = 5
_KINDS = (
    (stat.S_ISLNK, "a symlink"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISREG, "a regular file"),
    (stat.S_ISFIFO, "a FIFO"),
)


class Taken(NamedTuple):
    """The path is somebody's. `why` completes "PATH is ...".

    `holder` is who listens there, None when nobody does or (`busy`) has no room to be asked.
    `dead`: device, inode and time of change of a socket of ours that nobody serves any more.
    """

    why: str
    holder: Peer | None = None
    busy: bool = False
    dead: tuple[int, int, int] | None = None

    @property
    def live(self) -> bool:
        """Whether somebody listens there."""
        return self.busy or self.holder is not None


def claim(path: str, mode: int) -> Listener | Taken:
    """Listen on `path` with permissions `mode`; whose it is when it cannot be had.

    Raises KernelFileError for a path that nobody can have: no such directory, too long...
    """
    taken: Taken | None = None
    for _ in range(_ATTEMPTS):
        try:
            return listen(path, mode)
        except KernelFileError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        taken = look(path)
        if taken is not None and (taken.dead is None or not _remove(path, taken.dead)):
            return taken
    return taken or Taken("taken and left again, over and over", busy=True)


def look(path: str) -> Taken | None:
    """Who is there; None when nobody is. Touches nothing."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISSOCK(status.st_mode):
        return Taken(next((name for is_it, name in _KINDS if is_it(status.st_mode)), "a device"))
    try:
        stream = connect(path)
    except KernelFileError as error:
        return _unreachable(path, status, error.errno)
    try:
        return Taken("in use", stream.peer())
    finally:
        stream.close()


def _unreachable(path: str, status: os.stat_result, error: int) -> Taken | None:
    if error == errno.EAGAIN:
        return Taken("in use", busy=True)
    if error == errno.ENOENT:
        return None
    if status.st_uid != os.geteuid():
        return Taken(f"a socket of uid {status.st_uid}")
    if error != errno.ECONNREFUSED:
        return Taken(f"a socket that does not let us in ({os.strerror(error)})")
    if not _is_safe_place(path):
        return Taken("a dead socket in a directory where anybody may put another")
    return Taken("a dead socket that cannot be removed", dead=_identity(status))


def _is_safe_place(path: str) -> bool:
    """Whether nobody else but root can exchange what is ours at `path` (sticky(7))."""
    try:
        parent = os.stat(os.path.dirname(os.path.abspath(path)))
    except OSError:
        return False
    if parent.st_uid not in (0, os.geteuid()):
        return False
    return bool(parent.st_mode & stat.S_ISVTX) or not parent.st_mode & 0o022


def _remove(path: str, dead: tuple[int, int, int]) -> bool:
    """Remove the dead socket; whether it is gone."""
    try:
        if _identity(os.lstat(path)) == dead:
            os.unlink(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    """An inode's number is given anew at once; the moment of its making is not."""
    return status.st_dev, status.st_ino, status.st_ctime_ns

"""Unix stream sockets that never block (unix(7)), and who is at the other end.

Python's own `socket` module costs a launch as much as the interpreter's start, so this is made
from the system calls below it. A peer that has vanished is an answer: nothing is received from
it, and what is sent to it is lost.
"""

from __future__ import annotations

import _socket
import errno
import os
import stat
import struct
from typing import NamedTuple

from sentinel.model.errors import KernelFileError

LONGEST_PATH = 107
"""Bytes; sun_path has 108 with the NUL that everybody else puts at the end (unix(7))."""
BACKLOG = 128
"""Connections that wait to be accepted; one more blocks in connect(2), and costs nobody else."""

_CREDENTIALS = struct.Struct("iII")
"""struct ucred: pid, uid, gid."""
_LOST = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN})
_KEPT = frozenset({errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EROFS})
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Peer(NamedTuple):
    """Who connected, or who listens, as the kernel noted it then (SO_PEERCRED).

    `pid` is a number of this process's pid namespace, 0 for one that cannot be seen from it.
    """

    pid: int
    uid: int


class NoRoom(Exception):
    """No descriptor or no memory is left for one more connection."""


class Stream:
    """One connection."""

    def __init__(self, sock: _socket.socket) -> None:
        """Take over a connected socket."""
        self._socket = sock
        sock.setblocking(False)
        self.fd = sock.fileno()

    def peer(self) -> Peer:
        """Who is at the other end."""
        data = self._socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(data)
        return Peer(pid, uid)

    def receive(self, size: int) -> bytes | None:
        """At most `size` bytes; None when there are none yet; empty: no more will come."""
        try:
            return self._socket.recv(size)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in _LOST:
                return b""
            raise

    def send(self, data: bytes | memoryview) -> int | None:
        """How many bytes were taken, 0 while there is no room; None when nobody reads any more."""
        try:
            return self._socket.send(data, _socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno in _LOST:
                return None
            raise

    def finish(self) -> None:
        """Tell the peer that nothing more will come."""
        try:
            self._socket.shutdown(_socket.SHUT_WR)
        except OSError as error:
            if error.errno not in _LOST:
                raise

    def close(self) -> None:
        """Give the connection up; what was sent still arrives."""
        self._socket.close()


class Listener:
    """A socket that others connect to by its path."""

    def __init__(self, sock: _socket.socket, path: str) -> None:
        """Take over a bound socket that listens."""
        self._socket = sock
        self.path = path
        self.fd = sock.fileno()
        status = os.lstat(path)
        self._identity = (status.st_dev, status.st_ino)

    def accept(self) -> Stream | None:
        """The next connection; None when nobody waits. Raises NoRoom."""
        try:
            fd, _ = self._socket._accept()  # type: ignore[attr-defined]  # noqa: SLF001
        except (BlockingIOError, ConnectionAbortedError):
            return None
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise NoRoom from error
            raise
        return Stream(_socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fd))

    def hide(self) -> None:
        """Remove the path, if it is still this socket's: nobody new finds it."""
        try:
            status = os.lstat(self.path)
            if (status.st_dev, status.st_ino) == self._identity:
                os.unlink(self.path)
        except OSError as error:
            if error.errno not in _KEPT:
                raise

    def remove(self) -> None:
        """Remove the path and stop listening."""
        try:
            self.hide()
        finally:
            self._socket.close()


def listen(path: str, mode: int) -> Listener:
    """Make the socket `path` with permissions `mode`, whatever the umask, and listen on it.

    The kernel makes the file or finds one there (EADDRINUSE): symlinks are not followed.
    Raises KernelFileError.
    """
    if len(os.fsencode(path)) > LONGEST_PATH:
        remedy = f"a socket's path has at most {LONGEST_PATH} bytes: choose a shorter one"
        raise KernelFileError("bind", path, errno.ENAMETOOLONG, remedy=remedy)
    sock = _new("bind", path)
    try:
        sock.setblocking(False)
        # bind(2) gives the file the mode of the socket's own inode, less the umask: so nobody
        # finds it with another mode, as with a chmod of the path afterwards.
        os.fchmod(sock.fileno(), mode)
        previous = os.umask(0)
        try:
            sock.bind(os.fsencode(path))
        finally:
            os.umask(previous)
        sock.listen(BACKLOG)
        return Listener(sock, path)
    except OSError as error:
        sock.close()
        raise KernelFileError("bind", path, error.errno or errno.EIO) from error


def connect(path: str) -> Stream:
    """Connect to the socket `path` without waiting.

    Raises KernelFileError: ECONNREFUSED when nobody listens, EAGAIN when too many wait already.
    """
    sock = _new("connect to", path)
    try:
        sock.setblocking(False)
        sock.connect(os.fsencode(path))
    except OSError as error:
        sock.close()
        raise KernelFileError("connect to", path, error.errno or errno.EIO) from error
    return Stream(sock)


def connect_to(path: str, uid: int) -> Stream:
    """Connect to the socket `path` if user `uid` made it, whatever the path means next.

    Who wrote the path down may have meant a service that obeys, or is started by, whoever
    connects. Raises KernelFileError as `connect`, EPERM for what is no socket of that user's.
    """
    try:
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else None
        raise KernelFileError("connect to", path, number or errno.ENOENT) from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISSOCK(status.st_mode) or status.st_uid != uid:
            raise KernelFileError("trust", path, errno.EPERM)
        stream = connect(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
    if stream.peer().uid == uid:
        return stream
    stream.close()
    raise KernelFileError("trust", path, errno.EPERM)


def _new(op: str, path: str) -> _socket.socket:
    try:
        return _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    except OSError as error:
        raise KernelFileError(op, path, error.errno or errno.EMFILE) from error


def descriptors_allowed() -> int:
    """How many descriptors this process may have open (RLIMIT_NOFILE)."""
    return os.sysconf("SC_OPEN_MAX")

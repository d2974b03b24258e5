"""One exporter for each user, port and network: who sits there, and how the seat is taken.

Whoever finds the seat empty takes the lock, opens both sockets, and starts an exporter that
inherits all three: so of a hundred runs one starts it, no scrape meets a closed door while it
starts, and a port that belongs to somebody else is noticed at once. The lock is the exporter's
life; the door, a unix socket beside it, is where runs connect to be told of its end.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from typing import NamedTuple

from sentinel.linux.listening import connect_unix, listen_tcp, listen_unix
from sentinel.linux.locks import try_lock
from sentinel.linux.runtime import Place, RuntimeDirectory, open_runtime_directory
from sentinel.metrics.wish import Wish
from sentinel.model.errors import SentinelError

_ATTEMPTS = 10


class Seat(NamedTuple):
    """Three descriptors, and where the door is."""

    lock: int
    listener: int
    door: int
    path: str

    def close(self) -> None:
        """Close our copies of the descriptors."""
        for fd in (self.lock, self.listener, self.door):
            os.close(fd)


def knock(wish: Wish, places: Sequence[Place] = ()) -> int | None:
    """A connection to the exporter that serves `wish.port`; None when there is none.

    Raises SentinelError.
    """
    directory = open_runtime_directory(places)
    try:
        return connect_unix(_door(directory, wish))
    except OSError as error:
        raise _failure(wish, error) from error
    finally:
        directory.close()


def take_seat(wish: Wish, places: Sequence[Place] = ()) -> Seat | None:
    """Take the seat for an exporter yet to be started; None when somebody sits there.

    Raises SentinelError: the port is a stranger's, the address is none of this machine's.
    """
    directory = open_runtime_directory(places)
    try:
        lock = _take_lock(directory, wish)
        if lock is None:
            return None
        try:
            return _furnished(lock, wish, _door(directory, wish))
        except BaseException:
            os.close(lock)
            raise
    except OSError as error:
        raise _failure(wish, error) from error
    finally:
        directory.close()


def leave(seat: Seat) -> None:
    """Give the seat up: nobody finds the door any more, then the next one may sit down."""
    with contextlib.suppress(OSError):
        os.unlink(seat.path)
    with contextlib.suppress(OSError):
        os.unlink(f"{seat.path.removesuffix(_DOOR)}{_LOCK}")
    os.close(seat.lock)


_DOOR, _LOCK = ".door", ".lock"


def _stem(wish: Wish) -> str:
    """Containers may share a runtime directory, and then not the network."""
    try:
        network = os.stat("/proc/self/ns/net").st_ino
    except OSError:
        network = 0
    return f"exporter-{network}-{wish.port}"


def _door(directory: RuntimeDirectory, wish: Wish) -> str:
    return f"{directory.path}/{_stem(wish)}{_DOOR}"


def _take_lock(directory: RuntimeDirectory, wish: Wish) -> int | None:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    for _ in range(_ATTEMPTS):
        fd = os.open(_stem(wish) + _LOCK, flags, 0o600, dir_fd=directory.fd)
        if not try_lock(fd):
            os.close(fd)
            return None
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)  # the last exporter left and removed it: make another
    return None


def _furnished(lock: int, wish: Wish, path: str) -> Seat:
    listener = listen_tcp(wish.address, wish.port)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # an exporter that was killed left it: we have its lock
        return Seat(lock, listener, listen_unix(path), path)
    except BaseException:
        os.close(listener)
        raise


def _failure(wish: Wish, error: OSError) -> SentinelError:
    at = f"[{wish.address}]" if ":" in wish.address else wish.address
    remedy = "choose another address: --metrics-address 127.0.0.1"
    if error.errno == errno.EADDRINUSE:
        remedy = "somebody else listens there; choose another port: --metrics=PORT"
    elif error.errno == errno.EACCES:
        remedy = "choose a port above 1023: --metrics=PORT"
    reason = os.strerror(error.errno) if error.errno else str(error)
    return SentinelError(f"no metrics at {at}:{wish.port}: {reason}", remedy)

"""Sockets that are made here and handed to another process to be served: descriptors alone.

`socket` costs a guard as much as its own start; the C module below it is enough.
"""

from __future__ import annotations

import _socket
import errno
import os

BACKLOG = 1024
"""Connections that wait while whoever is to serve them starts; the kernel allows 4096."""


def listen_tcp(address: str, port: int) -> int:
    """A descriptor that listens on `port` of the numeric `address`. Raises OSError.

    EADDRINUSE when somebody else listens there. Connections of an earlier listener that have
    not died yet are no hindrance (SO_REUSEADDR, socket(7)).
    """
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    listener = _socket.socket(family, _socket.SOCK_STREAM)
    try:
        listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError):
        listener.close()
        raise
    return listener.detach()


def listen_unix(path: str) -> int:
    """A descriptor that listens on the new socket `path`, its user's alone. Raises OSError."""
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        # bind(2) gives the file the mode of the socket's inode, less the umask.
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(path)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener.detach()


def connect_unix(path: str) -> int | None:
    """A descriptor connected to `path`, not blocking; None when nobody listens there.

    None, too, when too many wait to be accepted (EAGAIN, connect(2)). Raises OSError.
    """
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        connection.connect(path)
    except OSError as error:
        connection.close()
        if error.errno in (errno.ENOENT, errno.ECONNREFUSED, errno.EAGAIN):
            return None
        raise
    return connection.detach()

"""An unrelated server on a Unix socket: `lineserver.py PATH`. A line in, an answer out, close.

As quick as a plain epoll(7) loop in Python is, and with nobody to protect from its clients.
"""

from __future__ import annotations

import os
import select
import socket
import sys

ANSWER = b"".join(b"%-14s unknown, for it guards nobody\n" % b"name" for _ in range(10))
"""About as long as a status."""


def serve(path: str) -> None:
    """Answer for ever."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(path)
    server.listen(128)
    server.setblocking(False)
    os.chmod(path, 0o666)
    epoll = select.epoll()
    epoll.register(server.fileno(), select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    while True:
        for fd, _ in epoll.poll():
            if fd == server.fileno():
                client, _ = server.accept()
                client.setblocking(False)
                clients[client.fileno()] = client
                epoll.register(client.fileno(), select.EPOLLIN)
                continue
            client = clients[fd]
            try:
                data = client.recv(4096)
                if b"\n" in data:
                    client.send(ANSWER)
                elif data:
                    continue
            except OSError:
                pass
            del clients[fd]
            epoll.unregister(fd)
            client.close()


if __name__ == "__main__":
    serve(sys.argv[1])

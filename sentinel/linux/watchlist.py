"""Many descriptors behind one: an epoll(7) that is watched by another."""

from __future__ import annotations

import select
from contextlib import suppress


class Watchlist:
    """What a guest of the guard's loop waits for; the loop itself sees only `fd`.

    Reports take turns: with more ready than are asked for, the next call begins with those that
    had to wait (epoll(7) moves what it reported to the end of its list).
    """

    def __init__(self) -> None:
        """Open the epoll descriptor (close-on-exec)."""
        self._epoll = select.epoll()
        self._tokens: dict[int, object] = {}
        self.fd = self._epoll.fileno()

    def watch(self, fd: int, token: object, *, reading: bool = True, writing: bool = False) -> None:
        """Report `token` while `fd` is readable or writable; its peer's end is always told."""
        events = (select.EPOLLIN if reading else 0) | (select.EPOLLOUT if writing else 0)
        if fd in self._tokens:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._tokens[fd] = token

    def forget(self, fd: int) -> None:
        """Stop watching `fd`, before it is closed; unknown descriptors are fine."""
        if self._tokens.pop(fd, None) is not None:
            with suppress(OSError):
                self._epoll.unregister(fd)

    def ready(self, most: int) -> list[object]:
        """The tokens of at most `most` ready descriptors; does not wait."""
        found = self._epoll.poll(0, most)
        return [self._tokens[fd] for fd, _ in found if fd in self._tokens]

    def close(self) -> None:
        """Close the epoll descriptor."""
        self._epoll.close()

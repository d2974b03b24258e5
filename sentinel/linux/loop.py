"""One thread, one wait: epoll(7) and the monotonic clock."""

from __future__ import annotations

import select
import time
from contextlib import suppress

LONGEST_WAIT = 86400.0
"""Seconds; epoll_wait(2) counts milliseconds in an int, which ends at 24.8 days."""


class Loop:
    """Waits for descriptors and a deadline. Makes no wake-up of its own: no deadline, no timer."""

    def __init__(self) -> None:
        """Open the epoll descriptor (close-on-exec)."""
        self._epoll = select.epoll()
        self._tokens: dict[int, object] = {}

    def now(self) -> float:
        """CLOCK_MONOTONIC in seconds."""
        return time.monotonic()

    def watch(
        self, fd: int, token: object, *, priority: bool = False, writing: bool = False
    ) -> None:
        """Report `token` while `fd` is readable (`priority`: while POLLPRI is pending).

        `writing`: also while it can be written to.

        Kernel files in cgroupfs notify by POLLPRI, always together with POLLERR, which epoll
        cannot mask and which is no error there (kernfs_generic_poll).
        """
        events = select.EPOLLPRI if priority else select.EPOLLIN
        if writing:
            events |= select.EPOLLOUT
        self.forget(fd)
        self._epoll.register(fd, events)
        self._tokens[fd] = token

    def forget(self, fd: int) -> None:
        """Stop watching `fd`; unknown descriptors are fine.

        What happens meanwhile on a kernel file is still told by the next `watch`.
        """
        if self._tokens.pop(fd, None) is not None:
            # The kernel forgets a closed descriptor by itself; its number may be reused by now.
            with suppress(OSError):
                self._epoll.unregister(fd)

    def wait(self, until: float | None) -> set[object]:
        """Sleep until a descriptor is ready or the clock reaches `until`; the ready tokens."""
        timeout = None if until is None else min(max(0.0, until - self.now()), LONGEST_WAIT)
        return {self._tokens[fd] for fd, _ in self._epoll.poll(timeout) if fd in self._tokens}

    def close(self) -> None:
        """Close the epoll descriptor."""
        self._epoll.close()

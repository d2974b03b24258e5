"""Waiting for another: descriptors of a part, reported as the whole."""

from __future__ import annotations

from sentinel.enclosure import Waiter


class OnBehalf:
    """A waiter whose descriptors are reported as `owner`, whoever watches them."""

    def __init__(self, waiter: Waiter, owner: object) -> None:
        """`waiter` does the waiting."""
        self._waiter = waiter
        self._owner = owner

    def watch(self, fd: int, token: object, *, priority: bool = False) -> None:
        """Report the owner instead of `token`."""
        del token
        self._waiter.watch(fd, self._owner, priority=priority)

    def forget(self, fd: int) -> None:
        """Stop watching."""
        self._waiter.forget(fd)

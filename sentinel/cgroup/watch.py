"""The leaf's wake-ups: POLLPRI on memory.events.local and cgroup.events (cgroup-v2.rst).

The local file, because a nested cgroup's own limits would move memory.events. Each watcher needs
its own open file: two that share one hide events from each other. A wake-up is a hint
only, so every look reads the counters again.
"""

from __future__ import annotations

import os

from sentinel.cgroup import files
from sentinel.cgroup.tree import Cgroup
from sentinel.enclosure import Enclosure, Waiter

_BYTES = 4096


class LeafWatch:
    """The two notifying files of a leaf, open and read once, so that only news wakes."""

    def __init__(self, cgroup: Cgroup) -> None:
        """Open both files. Raises KernelFileError."""
        self._memory = cgroup.open_file(files.MEMORY_EVENTS_LOCAL)
        self._cgroup = cgroup.open_file(files.CGROUP_EVENTS)
        self._listening = False
        self.counts()

    def begin(self, waiter: Waiter, owner: Enclosure) -> None:
        """Report both files' news as `owner`."""
        waiter.watch(self._cgroup, owner, priority=True)
        self.listen(waiter, owner)

    def listen(self, waiter: Waiter, owner: Enclosure) -> None:
        """Let memory events wake the guard again."""
        if not self._listening:
            waiter.watch(self._memory, owner, priority=True)
            self._listening = True

    def ignore(self, waiter: Waiter) -> None:
        """Keep memory events from waking: they come 50-60 times a second while a file streams."""
        if self._listening:
            waiter.forget(self._memory)
            self._listening = False

    def counts(self) -> dict[str, int]:
        """memory.events.local now; empty when the leaf is gone.

        Both files are read, because one that is not read stays ready and would spin the loop:
        `populated 1` is news, too, once the command has been placed.
        """
        self.is_populated()
        return files.parse_flat_keyed(_pread(self._memory))

    def is_populated(self) -> bool:
        """Whether a living process is inside; zombies do not count. False when it is gone."""
        return files.parse_flat_keyed(_pread(self._cgroup)).get("populated", 0) != 0

    def close(self, waiter: Waiter | None) -> None:
        """Stop watching and close both files."""
        for fd in (self._memory, self._cgroup):
            if waiter is not None:
                waiter.forget(fd)
            os.close(fd)


def _pread(fd: int) -> str:
    """Read from the start without seeking, which also takes the notification; empty when gone."""
    try:
        return os.pread(fd, _BYTES, 0).decode()
    except OSError:  # ENODEV: the cgroup was removed under the open file
        return ""

"""Pressing a leaf's memory down, a bite at a time.

A write to memory.high below the usage, and one to memory.reclaim, reclaims before it returns:
4-5 ms for 50 MB of anonymous memory that cannot be freed, 11-90 ms for 40 MB of page cache
(measured on 6.1 and 6.12). A guard that waits for 10 GB of page cache guards nobody. So the wire
comes down in steps, each as large as a few milliseconds allow.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from sentinel.cgroup import files
from sentinel.cgroup.tree import Cgroup
from sentinel.linux.clock import monotonic
from sentinel.model.errors import KernelFileError
from sentinel.model.units import format_size

SMALLEST_BITE = 1 << 20
FIRST_BITE = 4 << 20
LARGEST_BITE = 256 << 20
QUICK, SLOW = 0.001, 0.004
"""Seconds that a bite may take before the next one is smaller, or larger."""
STALLED = 5.0
"""Seconds without any giving way after which what is left counts as not reclaimable."""
PAUSE = 0.005
LONGEST_PAUSE = 0.2
"""Seconds between bites: while nothing gives way (pages under writeback), ever longer."""


class Press:
    """Lowers memory.high to a target and frees memory on request; idle without either."""

    def __init__(self, cgroup: Cgroup, clock: Callable[[], float] = monotonic) -> None:
        """`cgroup` stays the caller's."""
        self._cgroup = cgroup
        self._clock = clock
        self._target: int | None = None
        self._wanted: int | None = None
        self._freed = 0
        self._bite = FIRST_BITE
        self._pause = PAUSE
        self._gave_way = 0.0

    @property
    def lowers(self) -> bool:
        """Whether memory is on its way down to the wire, and giving way."""
        return self._target is not None and self._clock() - self._gave_way < STALLED

    @property
    def busy(self) -> bool:
        """Whether there is more to do."""
        return self._target is not None or self._wanted is not None

    def arm(self, target: int) -> None:
        """Set the wire to `target` bytes, at once where nothing has to give way for it."""
        if self._current() <= target:
            self._target = None
            self._cgroup.write(files.MEMORY_HIGH, files.format_limit(target))
        else:
            self._target, self._pause = target, PAUSE
            self._gave_way = self._clock()

    def lift(self) -> None:
        """Take the wire away."""
        self._target = None
        self._cgroup.write(files.MEMORY_HIGH, files.format_limit(None))

    def reclaim(self, size: int | None) -> None:
        """Begin to free `size` bytes; None: until the kernel finds no more."""
        current = self._current()
        self._wanted = current if size is None else min(size, current)
        self._freed = 0

    def cancel(self) -> None:
        """Stop all of it: the run is being stopped."""
        self._target = self._wanted = None

    def turn(self) -> tuple[float | None, tuple[tuple[str, str], ...]]:
        """Take one bite: seconds until the next one, and what there is to tell."""
        if self._target is not None:
            self._lower(self._target)
        news = () if self._wanted is None else self._free(self._wanted)
        return (self._pause if self.busy else None), news

    def _lower(self, target: int) -> None:
        before = self._current()
        step = max(target, before - self._bite)
        self._timed(files.MEMORY_HIGH, str(step))
        if step == target and self._current() <= target:
            self._target = None

    def _free(self, wanted: int) -> tuple[tuple[str, str], ...]:
        before = self._current()
        over = False
        try:
            self._timed(files.MEMORY_RECLAIM, str(min(wanted, self._bite)))
        except KernelFileError as error:
            # EAGAIN: less than that could be freed; the rest is in use (memory.reclaim).
            over = error.errno == errno.EAGAIN
            if not over:
                self._wanted = None
                return (("not reclaimed", str(error)),)
        freed = max(0, before - self._current())
        self._freed += freed
        self._wanted = None if over or freed >= wanted else wanted - freed
        return () if self._wanted else (("reclaimed", format_size(self._freed)),)

    def _timed(self, name: str, value: str) -> None:
        """Write, and learn from what it took and brought how large the next bite may be."""
        before, began = self._current(), self._clock()
        try:
            self._cgroup.write(name, value)
        finally:
            took = self._clock() - began
            if took < QUICK:
                self._bite = min(self._bite * 2, LARGEST_BITE)
            elif took > SLOW:
                self._bite = max(self._bite // 2, SMALLEST_BITE)
            gave_way = self._current() < before
            if gave_way:
                self._gave_way = self._clock()
            self._pause = PAUSE if gave_way else min(self._pause * 2, LONGEST_PAUSE)

    def _current(self) -> int:
        return int(self._cgroup.read(files.MEMORY_CURRENT) or 0)

"""What a run holds in a cgroup that it shares with Sentinel and whoever else was there before."""

from __future__ import annotations

import errno
import sys

from sentinel.cgroup import files
from sentinel.cgroup.gauge import Gauge
from sentinel.cgroup.ladder import UNREADABLE
from sentinel.cgroup.tree import Cgroup
from sentinel.linux.ownmemory import OwnMemory
from sentinel.model.errors import KernelFileError
from sentinel.model.snapshot import Composition, Reading
from sentinel.model.spec import Count, Limits


class Share:
    """Readings of what came on top, less Sentinel's own growth.

    Nobody keeps the run out of swap, so anonymous memory is counted whether it is there or not.
    """

    def __init__(self, cgroup: Cgroup, limits: Limits, now: float) -> None:
        """Read what is there before the command. Raises KernelFileError."""
        self._cgroup = cgroup
        self._gauge = Gauge(cgroup, _swapping(limits))
        self._own = OwnMemory()
        self._own_before = self._swap_before = self._firm_before = 0
        self._firm = 0
        try:
            self._before = self._all_of_it(now)
        except BaseException:
            self._own.close()
            raise
        self._swap_before, self._firm_before = self._gauge.swap, self._gauge.firm
        self._own_before = self._own.anon() or 0

    def aim(self, limits: Limits) -> None:
        """The limits are `limits` from now on."""
        self._gauge.aim(_swapping(limits))

    def read(self, now: float) -> Reading:
        """The run's memory now. Raises KernelFileError."""
        all_of_it, before = self._all_of_it(now), self._before
        own = (self._own.anon() or self._own_before) - self._own_before
        ours = max(0, self._gauge.swap - self._swap_before) - own
        self._firm = _rise(self._gauge.firm, self._firm_before, ours)
        held = _rise(all_of_it.working_set, before.working_set, -own)
        parts = _risen(all_of_it.composition, before.composition)
        return all_of_it._replace(
            current=_rise(all_of_it.current, before.current, ours),
            working_set=held,
            anon=_rise(all_of_it.anon, before.anon, ours),
            composition=parts and parts._replace(anon=max(0, parts.anon + ours)),
            non_file=held,
        )

    def firmly(self, reading: Reading, count: Count) -> int:
        """What `count` names of `reading`, as far as it is no passing error of the LRU counters.

        They jump when reclaim moves pages about (`working_set`), the counters by kind do not;
        and those have no per-CPU stock in them as memory.current has. One reading is enough.
        """
        if count is Count.WORKINGSET:
            return min(self._firm, reading.working_set or 0)
        return counted(reading, count)

    def close(self) -> None:
        """Close what was opened; the cgroup is the caller's."""
        self._own.close()

    def _all_of_it(self, now: float) -> Reading:
        reading = self._gauge.read(now)
        if reading is None:
            # Gone, or empty: a container engine masks a file with /dev/null.
            path = f"{self._cgroup.path}/{files.MEMORY_STAT}"
            raise KernelFileError("read", path, errno.ENODATA, remedy=UNREADABLE)
        return reading


def counted(reading: Reading, count: Count) -> int:
    """The part of `reading` that `--count` names."""
    if count is Count.ANON:
        return reading.anon or 0
    return reading.current if count is Count.TOTAL else reading.working_set or 0


def _swapping(limits: Limits) -> Limits:
    """`limits` under which a gauge reads swap."""
    return limits._replace(swap=sys.maxsize)


def _rise(now: int | None, before: int | None, more: int = 0) -> int:
    return max(0, (now or 0) - (before or 0) + more)


def _risen(now: Composition | None, before: Composition | None) -> Composition | None:
    if now is None or before is None:
        return now
    return Composition(*map(_rise, now, before))

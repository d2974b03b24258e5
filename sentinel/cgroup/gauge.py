"""Readings of a leaf's memory, with the counters flushed first."""

from __future__ import annotations

from sentinel.cgroup import files
from sentinel.cgroup.tree import Cgroup
from sentinel.model.snapshot import Reading


class Gauge:
    """Takes readings of one cgroup and keeps the largest working set that it has seen."""

    def __init__(self, cgroup: Cgroup) -> None:
        """`cgroup` stays the caller's."""
        self._cgroup = cgroup
        self.largest_working_set: int | None = None
        self.last: Reading | None = None

    def read(self, now: float) -> Reading | None:
        """The memory now; None when the files are gone. Raises KernelFileError.

        cpu.stat first: reading it flushes the per-CPU counters, without which memory.stat lags
        by up to 128 KiB x CPUs (exactly measured up to Linux 6.12; separate since 6.16).
        """
        cgroup = self._cgroup
        cgroup.read(files.CPU_STAT)
        current_text = cgroup.read(files.MEMORY_CURRENT)
        stat_text = cgroup.read(files.MEMORY_STAT)
        if not current_text or not stat_text:
            return None
        current = int(current_text)
        stat = files.parse_memory_stat(stat_text)
        swap = int(cgroup.read(files.MEMORY_SWAP_CURRENT) or 0)
        working_set = files.working_set(current, stat, swap)
        self.largest_working_set = max(self.largest_working_set or 0, working_set)
        self.last = Reading(
            at=now,
            current=current,
            working_set=working_set,
            anon=stat.anon,
            composition=files.composition(current, stat),
            # None: all live in cgroups inside the leaf, a nested run's for one.
            tasks=(cgroup.read(files.CGROUP_THREADS) or "").count("\n") or None,
            non_file=files.non_file(current, stat),
        )
        return self.last

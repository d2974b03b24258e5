"""Readings of a leaf's memory, with the counters flushed first."""

from __future__ import annotations

from sentinel.cgroup import files
from sentinel.cgroup.tree import Cgroup
from sentinel.model.snapshot import Reading
from sentinel.model.spec import Limits

NEAR = 0.9
"""Of the limit. Below it nobody asks for the slack that depends on the tasks."""


class Gauge:
    """Takes readings of one cgroup and keeps the largest working set that it has seen."""

    def __init__(self, cgroup: Cgroup, limits: Limits) -> None:
        """`cgroup` stays the caller's; `limits` say what need not be read."""
        self._cgroup = cgroup
        self._swaps = limits.swap > 0
        self._near = int(limits.soft * NEAR)
        self.swap = 0
        """Bytes that are only in swap, at the last reading; 0 where the limits allow none, since
        it is not read."""
        self.firm = 0
        """Bytes that no list, but the counters of their kinds say reclaim cannot free; MADV_FREE
        pages among them."""
        self.largest_working_set: int | None = None
        self.last: Reading | None = None

    def aim(self, limits: Limits) -> None:
        """The limits are `limits` from now on."""
        self._near = int(limits.soft * NEAR)

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
        swap = int(cgroup.read(files.MEMORY_SWAP_CURRENT) or 0) if self._swaps else 0
        self.swap = files.swapped_out(stat, swap)
        self.firm = stat.anon + stat.shmem + stat.kernel - stat.slab_reclaimable + stat.sock
        working_set = files.working_set(current, stat, swap)
        self.largest_working_set = max(self.largest_working_set or 0, working_set)
        self.last = Reading(
            at=now,
            current=current,
            working_set=working_set,
            anon=stat.anon,
            composition=files.composition(current, stat),
            tasks=self._tasks(max(working_set, files.non_file(current, stat))),
            non_file=files.non_file(current, stat),
        )
        return self.last

    def _tasks(self, held: int) -> int | None:
        """How many tasks there are, where it matters: near the limit.

        None, too, when all live in cgroups inside the leaf, a nested run's for one.
        """
        if held < self._near:
            return None
        return (self._cgroup.read(files.CGROUP_THREADS) or "").count("\n") or None

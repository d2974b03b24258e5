"""Where rows are measured: which backends, which disk, how much of it."""

from __future__ import annotations

import os
from typing import NamedTuple

from tests.lab import capability

SLOW = "6.12"
"""The kernel of the lab whose CPU is emulated: rows take fewer rounds and longer grace there."""
TICKING = "6.1"
"""User-mode Linux counts a process's CPU in ticks of 10 ms: a guard that works for less than one
at a time is charged nothing, however often it does."""
SYSTEMD = "-systemd"
"""What the name of a kernel ends with where systemd is PID 1."""


class Site(NamedTuple):
    """This machine, or a guest of the lab. `scratch` is an empty directory on a real disk."""

    name: str
    backends: tuple[str, ...]
    scratch: str
    quick: bool = False

    @property
    def slow(self) -> bool:
        """Whether the CPU is an emulated one."""
        return self.name == SLOW

    @property
    def systemd(self) -> bool:
        """Whether systemd is PID 1, and has an ordinary user to serve."""
        return self.name.endswith(SYSTEMD)

    @property
    def counts_cpu(self) -> bool:
        """Whether the CPU time of a process that works little at a time can be measured."""
        return self.name.removesuffix(SYSTEMD) != TICKING

    def times(self, full: int, slow: int | None = None) -> int:
        """How many rounds: `slow` of them on an emulated CPU, two for a quick look."""
        if self.quick:
            return min(2, full)
        return slow if self.slow and slow is not None else full

    def seconds(self, full: float) -> float:
        """How long to watch."""
        return min(3.0, full) if self.quick else full

    def path(self, name: str) -> str:
        """A place on the disk."""
        return os.path.join(self.scratch, name)

    def file(self, size: int) -> str:
        """A file of `size` bytes on the disk, made once."""
        path = self.path(f"data-{size}")
        if not os.path.exists(path):
            block = bytes([0x5A]) * (1 << 20)
            with open(path, "wb") as file:
                file.writelines(block for _ in range(size >> 20))
                file.flush()
                os.fsync(file.fileno())
        return path


def cool(path: str) -> None:
    """Drop a file from the page cache: what is cached is charged to who read it first."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def here(scratch: str, *, quick: bool) -> Site:
    """The kernel that this process runs on."""
    inside = capability.lab_kernel()
    leaves = capability.native()
    if inside is not None and capability.systemd_guest():
        return Site(inside + SYSTEMD, ("cgroup",), scratch, quick)
    if inside is not None:
        return Site(inside, ("cgroup",) if leaves else (), scratch, quick)
    return Site("native", ("cgroup", "rss") if leaves else ("rss",), scratch, quick)

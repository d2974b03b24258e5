"""One look at a run's memory."""

from typing import NamedTuple


class Composition(NamedTuple):
    """What the memory is made of, bytes; a partition of the current usage (memory.stat)."""

    anon: int
    file: int
    shmem: int
    kernel: int
    sock: int
    other: int

    def largest(self) -> tuple[str, int]:
        """Name and bytes of the largest part."""
        return max(zip(self._fields, self, strict=True), key=lambda part: part[1])


class Reading(NamedTuple):
    """Memory of a run at `at` (monotonic seconds). Bytes; None where the backend cannot know.

    `working_set` is U (linux/memorystat.py): what reclaim cannot free, swap included.
    `non_file` is what is on no list of file pages: U, and slab that should be reclaimable.
    """

    at: float
    current: int
    working_set: int | None
    anon: int | None = None
    composition: Composition | None = None
    tasks: int | None = None
    non_file: int | None = None

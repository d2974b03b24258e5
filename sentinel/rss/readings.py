"""What is read of a family: the tally, cheap and too high, and the survey, dear and true."""

from typing import NamedTuple

from sentinel.model.snapshot import Composition, Reading
from sentinel.model.spec import Count


class Tally(NamedTuple):
    """The cheap sum over a family at `at`. Bytes, each process's resident pages in full.

    `shared` is file and shmem together, which statm does not tell apart. `grown` is what
    processes gained that were in the last tally too: one that was just forked shares its
    parent's pages and would look like growth of gigabytes per second.
    """

    at: float
    anon: int
    shared: int
    swap: int
    grown: int
    processes: int

    @property
    def resident(self) -> int:
        """Summed RSS."""
        return self.anon + self.shared


class Survey(NamedTuple):
    """The true sums over a family, each page charged once, as of `tally`. Bytes.

    `lazy_free` is the part of `anon` that reclaim just drops (MADV_FREE), `pinned` the part of
    `file` that it cannot; `doubt` may have been charged twice, because a process let go of it
    while others were read; `cost` is the seconds that it took.
    """

    tally: Tally
    pss: int
    anon: int
    file: int
    shmem: int
    lazy_free: int
    pinned: int
    swap: int
    doubt: int
    cost: float

    def value(self, counted: Count) -> int:
        """Bytes that are compared with a limit.

        Swap counts as if it were resident: it cannot be forbidden here, and must not hide a leak.
        """
        if counted is Count.ANON:
            return self.anon + self.swap
        if counted is Count.TOTAL:
            return self.pss + self.swap
        return self.anon - self.lazy_free + self.shmem + self.pinned + self.swap


def as_reading(tally: Tally, survey: Survey | None) -> Reading:
    """What is told about a look: current is summed RSS, the rest is known from a survey only.

    The composition is a partition of the family's PSS. Kernel and socket memory is charged to
    no process: in what was looked at there is none.
    """
    if survey is None:
        return Reading(tally.at, tally.resident, None, tasks=tally.processes)
    parts = Composition(survey.anon, survey.file, survey.shmem, kernel=0, sock=0, other=0)
    working_set = survey.value(Count.WORKINGSET)
    return Reading(tally.at, tally.resident, working_set, survey.anon, parts, tally.processes)

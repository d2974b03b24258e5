"""How a family's memory is read: statm for tallies, smaps_rollup for surveys (proc(5))."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from sentinel.rss.family import Member
from sentinel.rss.procfs import Proc, Rollup
from sentinel.rss.readings import Survey, Tally

SLICE = 0.020
"""Seconds that a survey may hold up the guard at a time: 4 GiB of 4 KiB pages."""
SWAP_EVERY = 1.0


class Tallier:
    """Sums /proc/PID/statm: 5 us a process."""

    def __init__(self, proc: Proc) -> None:
        """Read below `proc`."""
        self._proc = proc
        self._residents: dict[int, int] = {}
        self._swap = 0
        self._swap_due = 0.0

    def tally(self, members: list[Member], now: float) -> Tally:
        """The sum over `members`; marks those that have ended."""
        anon = shared = grown = 0
        residents = {}
        for member in members:
            statm = self._proc.statm(member.reads)
            if statm is None or not statm.size:
                member.refresh(self._proc)
                statm = None if member.ended else self._proc.statm(member.reads)
                if statm is None:
                    continue
            pid = member.identity.pid
            residents[pid] = statm.resident
            grown += max(0, statm.resident - self._residents.get(pid, statm.resident))
            anon += statm.resident - statm.shared
            shared += statm.shared
        self._residents = residents
        return Tally(now, anon, shared, self._swapped(members, now), grown, len(residents))

    def _swapped(self, members: list[Member], now: float) -> int:
        """Bytes in swap, asked rarely: status costs three times what statm does."""
        if now >= self._swap_due:
            self._swap_due = now + SWAP_EVERY
            swap = self._proc.has_swap()
            self._swap = sum(self._proc.swapped(m.reads) for m in members) if swap else 0
        return self._swap


class _Part(NamedTuple):
    """One process's share, bytes."""

    pss: int = 0
    anon: int = 0
    file: int = 0
    shmem: int = 0
    lazy_free: int = 0
    pinned: int = 0
    swap: int = 0


def share(rollup: Rollup) -> _Part:
    """What a process is charged with.

    Clean and dirty file pages alike can be reclaimed, unless they are mlocked. Locked maps may
    be anonymous too, so only what exceeds all anonymous and shmem pages is surely file: nothing
    of an mlocked key, all of an mlocked file or of mlockall(2). Before Linux 5.3 the parts are
    not told, and everything is taken for anonymous.
    """
    if rollup.anon is None:
        return _Part(rollup.pss, anon=rollup.pss, swap=rollup.swap)
    file, shmem = rollup.file or 0, rollup.shmem or 0
    return _Part(
        rollup.pss,
        rollup.anon,
        file,
        shmem,
        min(rollup.lazy_free, rollup.anon),
        min(file, max(0, rollup.locked - rollup.anon - shmem)),
        rollup.swap,
    )


class Surveyor:
    """One survey in the making, in slices, so that 500 big processes do not hold up the guard."""

    def __init__(
        self, proc: Proc, members: list[Member], tally: Tally, clock: Callable[[], float]
    ) -> None:
        """Begin a survey of `members`, who were just summed to `tally`."""
        self._proc = proc
        self._clock = clock
        self._tally = tally
        self._cost = 0.0
        self._parts: list[_Part] = []
        self._resident: dict[int, int] = {}
        self._left: Iterator[Member] = iter(members)
        self._waiting: dict[int, int] = {}

    def advance(self) -> Survey | None:
        """Work for one SLICE; the survey when it is complete."""
        start = self._clock()
        for member in self._left:
            self._read(member)
            if self._clock() - start >= SLICE:
                self._cost += self._clock() - start
                return None
        doubt = self._released() if len(self._parts) > 1 else 0
        self._cost += self._clock() - start
        sums = _Part(*map(sum, zip(*self._parts, strict=True))) if self._parts else _Part()
        return Survey(self._tally, *sums, doubt, self._cost)

    def _read(self, member: Member) -> None:
        pid = member.reads
        if member.ended or self._borrows(member):
            return
        rollup = self._proc.rollup(pid)
        statm = self._proc.statm(pid)
        if statm is None:
            return
        self._resident[pid] = rollup.rss if rollup else statm.resident
        if rollup is None and not self._proc.rolls_up():
            rollup = _without_rollup(pid)
        private = statm.resident - statm.shared
        self._parts.append(share(rollup) if rollup else _Part(private, anon=private))

    def _borrows(self, member: Member) -> bool:
        """Whether `member` runs in its parent's memory, as after vfork(2) until its exec.

        Both then report the same pages in full, PSS too: a 150 MiB program that starts another
        would be seen as 300 MiB. A thread of the parent waits meanwhile, uninterruptibly, and
        their sizes are the same. A forked worker that looks so is left out of one survey.
        """
        parent = member.parent
        own, theirs = self._proc.statm(member.reads), self._proc.statm(parent)
        if own is None or theirs is None or own.size != theirs.size:
            return False
        if parent not in self._waiting:
            self._waiting[parent] = self._proc.waiting_threads(parent)
        self._waiting[parent] -= 1  # each waits for one child
        return self._waiting[parent] >= 0

    def _released(self) -> int:
        """Bytes that processes have let go of since they were read.

        Their share fell to those that were read later, so that it may have been charged twice.
        """
        released = 0
        for pid, before in self._resident.items():
            statm = self._proc.statm(pid)
            released += max(0, before - (statm.resident if statm else 0))
        return released


def _without_rollup(pid: int) -> Rollup | None:
    """PSS from the long file, for kernels without the rolled-up one; None when it is closed."""
    import psutil

    try:
        memory = psutil.Process(pid).memory_full_info()
    except psutil.Error:
        return None
    return Rollup(memory.rss, memory.pss, None, None, None, 0, 0, memory.swap)

"""/proc/PID as numbers: pure parsers, and a reader whose root can be a mock-up.

What has vanished, and what may not be read, is None; unknown is never 0.
"""

import os
from typing import NamedTuple

from sentinel.linux.libc import become_subreaper
from sentinel.linux.process import ProcessStat, parse_stat
from sentinel.model.errors import SentinelError

PAGE = os.sysconf("SC_PAGESIZE")
KIB = 1024
DEAD = "ZX"
"""States of /proc/PID/stat in which a thread holds no memory and runs nothing."""

FOREIGN = "the /proc here is that of another pid namespace"
OURS = "mount ours: mount -t proc proc /proc"

_ENOUGH = 1 << 16


class Statm(NamedTuple):
    """/proc/PID/statm, bytes. `shared` is resident file and shmem; the rest is anonymous.

    From Linux 6.2 to 6.15 each number may lag by 32 pages and more for each CPU that the
    process ran on (percpu rss_stat, `get_mm_counter`).
    """

    size: int
    resident: int
    shared: int


class Rollup(NamedTuple):
    """/proc/PID/smaps_rollup, bytes: exact, from the page tables (Linux 4.14; parts: 5.3).

    `anon file shmem` are the parts of `pss`; `swap` is the proportional share of swapped pages;
    `lazy_free` was given back by MADV_FREE; `locked` is the proportional share of mlocked maps.
    """

    rss: int
    pss: int
    anon: int | None
    file: int | None
    shmem: int | None
    lazy_free: int
    locked: int
    swap: int


def parse_statm(text: bytes) -> Statm:
    """Read /proc/PID/statm, which counts pages."""
    size, resident, shared, _ = text.split(b" ", 3)
    return Statm(int(size) * PAGE, int(resident) * PAGE, int(shared) * PAGE)


def parse_rollup(text: bytes) -> Rollup | None:
    """Read /proc/PID/smaps_rollup; None when there was no memory to roll up (a zombie)."""
    sizes: dict[bytes, int] = {}
    for line in text.splitlines()[1:]:
        key, _, rest = line.partition(b":")
        sizes[key] = int(rest.split()[0]) * KIB
    if b"Pss" not in sizes:
        return None
    return Rollup(
        sizes.get(b"Rss", 0),
        sizes[b"Pss"],
        sizes.get(b"Pss_Anon"),
        sizes.get(b"Pss_File"),
        sizes.get(b"Pss_Shmem"),
        sizes.get(b"LazyFree", 0),
        sizes.get(b"Locked", 0),
        sizes.get(b"SwapPss", sizes.get(b"Swap", 0)),
    )


def parse_swapped(text: bytes) -> int:
    """VmSwap of /proc/PID/status, bytes; 0 for a process without memory, which has no such line."""
    _, found, rest = text.partition(b"\nVmSwap:")
    return int(rest.split(None, 1)[0]) * KIB if found else 0


class Proc:
    """Reads below one /proc."""

    def __init__(self, root: str = "/proc") -> None:
        """`root` is where proc(5) is mounted."""
        self.root = root

    def statm(self, pid: int) -> Statm | None:
        """The cheap numbers of `pid`; all zero for a zombie."""
        text = self._read(f"{self.root}/{pid}/statm")
        return parse_statm(text) if text else None

    def rollup(self, pid: int) -> Rollup | None:
        """The exact numbers of `pid`: a walk over its page tables, 5 ms per GiB of 4 KiB pages."""
        text = self._read(f"{self.root}/{pid}/smaps_rollup")
        return parse_rollup(text) if text else None

    def swapped(self, pid: int) -> int:
        """Bytes of `pid` in swap, shared ones in full."""
        return parse_swapped(self._read(f"{self.root}/{pid}/status") or b"")

    def stat(self, pid: int) -> ProcessStat | None:
        """Identity and state of `pid`."""
        text = self._read(f"{self.root}/{pid}/stat")
        return parse_stat(text) if text else None

    def threads(self, pid: int) -> list[int]:
        """Thread numbers of `pid`; empty when it is gone."""
        try:
            return [int(name) for name in os.listdir(f"{self.root}/{pid}/task")]
        except OSError:
            return []

    def children(self, pid: int) -> list[int] | None:
        """Children of all threads of `pid` (CONFIG_PROC_CHILDREN); None when it is gone."""
        found: list[int] = []
        threads = self.threads(pid)
        for thread in threads:
            # A seq_file gives a page at a time: a fork storm has more children than that.
            text = self._read(f"{self.root}/{pid}/task/{thread}/children", whole=True)
            if text:
                found.extend(map(int, text.split()))
        return found if threads else None

    def lists_children(self) -> bool:
        """Whether this kernel has the `children` files at all."""
        own = os.getpid()
        return os.path.exists(f"{self.root}/{own}/task/{own}/children")

    def living_thread(self, pid: int) -> int | None:
        """A thread through which the memory of `pid` can be read, when its first one has ended.

        A program may end its first thread and live on in others: its state is then `Z`, and
        its own statm says 0.
        """
        for thread in self.threads(pid):
            stat = self._read(f"{self.root}/{pid}/task/{thread}/stat")
            if stat and parse_stat(stat).state not in DEAD:
                return thread
        return None

    def waiting_threads(self, pid: int) -> int:
        """How many threads of `pid` sleep uninterruptibly, as a caller of vfork(2) does."""
        stats = (
            self._read(f"{self.root}/{pid}/task/{thread}/stat") for thread in self.threads(pid)
        )
        return sum(parse_stat(text).state == "D" for text in stats if text)

    def rolls_up(self) -> bool:
        """Whether this kernel has the `smaps_rollup` files at all (Linux 4.14; not gVisor)."""
        return os.path.exists(f"{self.root}/{os.getpid()}/smaps_rollup")

    def is_foreign(self) -> bool:
        """Whether numbers here mean other processes: of another pid namespace (proc(5))."""
        try:
            return os.readlink(f"{self.root}/self") != str(os.getpid())
        except OSError:
            return False

    def newest(self) -> bytes:
        """The last number given to a process or thread here: it changes with every fork."""
        return (self._read(f"{self.root}/loadavg") or b"").rpartition(b" ")[2]

    def has_swap(self) -> bool:
        """Whether this machine has any swap in use as such (/proc/swaps: a header and a line)."""
        return (self._read(f"{self.root}/swaps") or b"").count(b"\n") > 1

    @staticmethod
    def _read(path: str, *, whole: bool = False) -> bytes | None:
        """One read of the file, or all; None when it is gone (ENOENT, ESRCH) or not for us."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            text = os.read(fd, _ENOUGH)
            while whole and (more := os.read(fd, _ENOUGH)):
                text += more
        except OSError:
            return None
        finally:
            os.close(fd)
        return text


def require(proc: Proc) -> None:
    """Raises SentinelError rather than guard blindly, watch others, or let daemons escape."""
    if proc.statm(os.getpid()) is None:
        raise SentinelError("/proc/PID/statm cannot be read", "mount it: mount -t proc proc /proc")
    if proc.is_foreign():
        raise SentinelError(FOREIGN, OURS)
    try:
        become_subreaper()
    except OSError as error:
        raise SentinelError(
            f"cannot become a subreaper: {os.strerror(error.errno or 0)}",
            "allow prctl(2) with PR_SET_CHILD_SUBREAPER; Linux 3.4 or newer has it",
        ) from error

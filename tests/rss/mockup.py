"""A made-up /proc: the files that the rss backend reads, for processes that nobody started."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sentinel.rss.procfs import PAGE, Proc

MIB = 1 << 20


class MockProc:
    """Writes below `root` what proc(5) would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.proc = Proc(str(root))
        self.reads = 0

    def process(self, pid: int, start: int = 100, *, state: str = "S", name: str = "x") -> None:
        """Make or change a process of one thread, 10 MiB in size, with nothing resident."""
        self.thread(pid, pid, state)
        self._write(f"{pid}/stat", _stat(pid, start, state, name))
        if not (self.root / f"{pid}/statm").exists():
            self.memory(pid, 10, 0, 0)

    def thread(self, pid: int, thread: int, state: str = "S") -> None:
        """Give `pid` a thread."""
        self._write(f"{pid}/task/{thread}/stat", _stat(thread, 100, state, "x"))
        children = self.root / f"{pid}/task/{thread}/children"
        if not children.exists():
            children.write_text("")

    def children(self, pid: int, *children: int, thread: int | None = None) -> None:
        """Say who the children of `pid`, or of one thread of it, are."""
        text = "".join(f"{child} " for child in children)
        self._write(f"{pid}/task/{thread or pid}/children", text)

    def memory(self, pid: int, size: float, anon: float, shared: float) -> None:
        """Set statm of `pid`, in MiB."""
        pages = [int(part * MIB) // PAGE for part in (size, anon + shared, shared)]
        self._write(f"{pid}/statm", f"{pages[0]} {pages[1]} {pages[2]} 1 0 1 0\n")

    def rollup(self, pid: int, **sizes: float) -> None:
        """Set smaps_rollup of `pid`, in MiB."""
        lines = [f"{key}: {int(size * 1024):>15} kB\n" for key, size in sizes.items()]
        self._write(f"{pid}/smaps_rollup", "55cc-7fff ---p 0 00:00 0   [rollup]\n" + "".join(lines))

    def anon(self, pid: int, size: float) -> None:
        """Give `pid` private anonymous memory, in MiB, and nothing else."""
        self.memory(pid, size + 10, size, 0)
        self.rollup(pid, Rss=size, Pss=size, Pss_Anon=size, Pss_File=0, Pss_Shmem=0)

    def gone(self, pid: int) -> None:
        """Take the process away."""
        shutil.rmtree(self.root / str(pid))

    def own(self, *children: int) -> None:
        """Say who the children of this very process are."""
        if not (self.root / str(os.getpid())).exists():
            self.process(os.getpid())
        self.children(os.getpid(), *children)

    def newest(self, pid: int) -> None:
        """Set the pid that was given out last."""
        self._write("loadavg", f"0.55 0.27 0.14 2/92 {pid}\n")

    def swap(self, **used: float) -> None:
        """Give the machine swap, and each `pNNN` its part of it, in MiB."""
        self._write("swaps", "Filename Type\n/swap file 1 1 -2\n")
        for name, size in used.items():
            text = f"Name:\tx\nVmSwap:\t{int(size * 1024):>8} kB\nHugetlbPages:\t0 kB\n"
            self._write(f"{name[1:]}/status", text)

    def _write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def _stat(pid: int, start: int, state: str, name: str) -> str:
    rest = " ".join(["0"] * 17)
    return f"{pid} ({name}) {state} 1 {rest} {start} 0 0\n"

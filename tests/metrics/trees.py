"""Kernel files as text, laid out below a directory: cgroups, and a /proc."""

from __future__ import annotations

import os
from pathlib import Path

MIB = 1 << 20

STAT = """\
anon 41943040
file 12582912
kernel 2097152
kernel_stack 65536
pagetables 262144
percpu 0
sock 131072
vmalloc 0
shmem 4194304
file_mapped 1048576
inactive_anon 46137344
active_anon 0
inactive_file 6291456
active_file 2097152
unevictable 0
slab_reclaimable 524288
slab_unreclaimable 524288
slab 1048576
workingset_refault_anon 3
workingset_refault_file 70
pgfault 20480
pgmajfault 12
"""

LEAF = {
    "memory.current": f"{60 * MIB}\n",
    "memory.stat": STAT,
    "memory.events": (
        "low 0\nhigh 7\nmax 2\noom 1\noom_kill 1\noom_group_kill 1\nsock_throttled 9\n"
    ),
    "memory.peak": f"{64 * MIB}\n",
    "memory.max": f"{128 * MIB}\n",
    "memory.high": "max\n",
    "memory.swap.current": "0\n",
    "memory.pressure": (
        "some avg10=1.50 avg60=0.20 avg300=0.00 total=2500000\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n"
    ),
    "cpu.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000\n",
    "io.pressure": (
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    ),
    "cpu.stat": "usage_usec 1500000\nuser_usec 1200000\nsystem_usec 300000\nnr_periods 0\n",
    "io.stat": (
        "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n"
        "259:1 rbytes=1000 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n7:0 \n"
    ),
    "pids.current": "5\n",
    "cgroup.procs": "101\n102\n0\n",
}


def make_cgroup(path: Path, **files: str | None) -> Path:
    """A directory with the files of a leaf; `memory_peak=None` leaves one out."""
    changed = {name.replace("_", "."): text for name, text in files.items()}
    os.makedirs(path)
    for name, text in {**LEAF, **changed}.items():
        if text is not None:
            (path / name).write_text(text)
    return path


def make_process(
    root: Path, pid: int, parent: int, name: bytes = b"worker", **of: int | str
) -> None:
    """/proc/PID with stat, statm (in pages) and fd; `of` is what stands in them."""
    directory = root / str(pid)
    os.makedirs(directory / "fd")
    state, threads = of.get("state", "S"), of.get("threads", 1)
    fields = f"{state} {parent} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 12345 0 0"
    (directory / "stat").write_bytes(b"%d (%b) %b\n" % (pid, name, fields.encode()))
    resident, shared = of.get("resident", 100), of.get("shared", 25)
    (directory / "statm").write_text(f"1000 {resident} {shared} 1 0 50 0\n")
    for number in range(int(of.get("fds", 3))):
        (directory / "fd" / str(number)).write_text("")

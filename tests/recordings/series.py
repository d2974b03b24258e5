"""Read a recording: a header, the names of the columns, then one line per sample.

    # kernel=6.1.176 limit=67108864 max=100663296 cpus=1 truth=leak workload=anon-slow
    # t high current threads anon file ...
    0.000 0 66318336 2 64901120 ...

`t` is in seconds from the first sample; `high` the counter of memory.events.local; `threads`
pids.current, which counts them; everything else bytes, as memory.current and memory.stat say
(Documentation/admin-guide/cgroup-v2.rst). The samples begin just before the first `high` event.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

HERE = os.path.dirname(os.path.abspath(__file__))

STAT_KEYS = (
    "anon",
    "file",
    "shmem",
    "kernel",
    "sock",
    "active_anon",
    "inactive_anon",
    "active_file",
    "inactive_file",
    "unevictable",
    "slab_reclaimable",
    "slab_unreclaimable",
)
"""The keys of memory.stat that are kept."""

COLUMNS = ("t", "high", "current", "threads", *STAT_KEYS)


class Sample(NamedTuple):
    """One look at a leaf: seconds, events, bytes, tasks, and memory.stat in bytes by key."""

    t: float
    high: int
    current: int
    threads: int
    stat: Mapping[str, int]


class Recording(NamedTuple):
    """A series, and whether stopping the program that made it would have been right."""

    kernel: str
    limit: int
    wall: int
    cpus: int
    truth: Literal["ok", "leak"]
    workload: str
    samples: Sequence[Sample]


def read(path: str) -> Recording:
    """Read the recording at `path`.

    :raises ValueError: the file is not in this module's format; says which line.
    """
    with open(path, encoding="ascii") as file:
        lines = file.read().splitlines()
    if len(lines) < 3 or lines[1] != "# " + " ".join(COLUMNS):
        raise ValueError(f"{path}: line 2 does not name the columns: record it again")
    header = dict(word.split("=", 1) for word in lines[0].removeprefix("# ").split())
    truth = header["truth"]
    if truth not in ("ok", "leak"):
        raise ValueError(f"{path}: truth={truth} is neither ok nor leak: record it again")
    return Recording(
        kernel=header["kernel"],
        limit=int(header["limit"]),
        wall=int(header["max"]),
        cpus=int(header["cpus"]),
        truth="leak" if truth == "leak" else "ok",
        workload=header["workload"],
        samples=[_sample(path, number, line) for number, line in enumerate(lines[2:], 3)],
    )


def _sample(path: str, number: int, line: str) -> Sample:
    words = line.split()
    if len(words) != len(COLUMNS):
        raise ValueError(f"{path}: line {number} has {len(words)} of {len(COLUMNS)} columns")
    high, current, threads, *stat = map(int, words[1:])
    return Sample(float(words[0]), high, current, threads, dict(zip(STAT_KEYS, stat, strict=True)))


def write(recording: Recording) -> str:
    """Return `recording` as the text that `read` takes."""
    header = {
        "kernel": recording.kernel,
        "limit": recording.limit,
        "max": recording.wall,
        "cpus": recording.cpus,
        "truth": recording.truth,
        "workload": recording.workload,
    }
    lines = [
        "# " + " ".join(f"{key}={value}" for key, value in header.items()),
        "# " + " ".join(COLUMNS),
    ]
    for sample in recording.samples:
        stat = " ".join(str(sample.stat[key]) for key in STAT_KEYS)
        lines.append(f"{sample.t:.3f} {sample.high} {sample.current} {sample.threads} {stat}")
    return "\n".join(lines) + "\n"


def paths() -> list[str]:
    """Every committed recording, kernel by kernel."""
    return sorted(
        os.path.join(folder, name)
        for folder, _, names in os.walk(HERE)
        for name in names
        if name.endswith(".txt")
    )

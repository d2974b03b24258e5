"""Names, formats and parsers of the kernel's cgroup v2 files (cgroup-v2.rst).

Pure: text in, frozen types out.
"""

from typing import NamedTuple

from sentinel.linux import memorystat
from sentinel.model.status import Pressure

CGROUP_CONTROLLERS = "cgroup.controllers"
CGROUP_EVENTS = "cgroup.events"
CGROUP_FREEZE = "cgroup.freeze"
CGROUP_KILL = "cgroup.kill"
CGROUP_PROCS = "cgroup.procs"
CGROUP_SUBTREE_CONTROL = "cgroup.subtree_control"
CGROUP_THREADS = "cgroup.threads"
CGROUP_TYPE = "cgroup.type"
CPU_MAX = "cpu.max"
CPU_STAT = "cpu.stat"
MEMORY_CURRENT = "memory.current"
MEMORY_EVENTS = "memory.events"
MEMORY_EVENTS_LOCAL = "memory.events.local"
MEMORY_HIGH = "memory.high"
MEMORY_MAX = "memory.max"
MEMORY_OOM_GROUP = "memory.oom.group"
MEMORY_PEAK = "memory.peak"
MEMORY_PRESSURE = "memory.pressure"
MEMORY_RECLAIM = "memory.reclaim"
MEMORY_STAT = "memory.stat"
MEMORY_SWAP_CURRENT = "memory.swap.current"
MEMORY_SWAP_MAX = "memory.swap.max"
PIDS_MAX = "pids.max"

MemoryStat = memorystat.MemoryStat
composition = memorystat.composition
non_file = memorystat.non_file
parse_flat_keyed = memorystat.parse_flat_keyed
parse_memory_stat = memorystat.parse_memory_stat
swapped_out = memorystat.swapped_out
working_set = memorystat.working_set

UNLIMITED = "max"
CPU_PERIOD = 100_000
"""Microseconds; the kernel's default period of cpu.max."""


def parse_limit(text: str) -> int | None:
    """Read memory.max, memory.high and the like: bytes, or None for `max`."""
    word = text.strip()
    return None if word == UNLIMITED else int(word)


def format_limit(limit: int | None) -> str:
    """Write a limit as the kernel reads it."""
    return UNLIMITED if limit is None else str(limit)


def format_cpu_max(cpus: float) -> str:
    """Write `cpus` CPUs as cpu.max: quota and period in microseconds, 1 ms at least."""
    return f"{max(1000, round(cpus * CPU_PERIOD))} {CPU_PERIOD}"


def difference(now: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    """What each counter counted since `before`; keys that did not move are left out."""
    deltas = {key: value - before.get(key, 0) for key, value in now.items()}
    return {key: delta for key, delta in deltas.items() if delta}


def parse_pressure(text: str) -> Pressure | None:
    """Read the 10 s averages of a *.pressure file (psi.rst), percent; None when it has none."""
    averages = {}
    for line in text.split("\n"):
        kind, *fields = line.split()[:2] or [""]
        if fields and fields[0].startswith("avg10="):
            averages[kind] = float(fields[0].removeprefix("avg10="))
    if "some" not in averages:
        return None
    return Pressure(averages["some"], averages.get("full", 0.0))


class Mount(NamedTuple):
    """A cgroup2 mount of /proc/self/mountinfo: where it is, which cgroup is its root."""

    point: str
    root: str


def parse_mounts(mountinfo: str) -> tuple[Mount, ...]:
    """Find the cgroup2 mounts in /proc/PID/mountinfo (proc(5): octal escapes for blanks).

    Cut at newlines and blanks alone: other characters that Python takes for the end of a line
    or of a word (vertical tab, NEL, no-break space) are not escaped, and names may hold them.
    """
    mounts = []
    for line in mountinfo.split("\n"):
        mount, _, file_system = line.partition(" - ")
        fields = mount.split(" ")
        if file_system.startswith("cgroup2 ") and len(fields) > 4:
            mounts.append(Mount(_unescape(fields[4]), _unescape(fields[3])))
    return tuple(mounts)


def _unescape(path: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path


def parse_own_path(proc_cgroup: str) -> str | None:
    """Own path in the v2 hierarchy from /proc/self/cgroup (`0::/path`); None on pure v1."""
    for line in proc_cgroup.split("\n"):
        if line.startswith("0::"):
            return line[3:]
    return None


def controllers_of_v1(proc_cgroup: str) -> tuple[str, ...]:
    """Controllers that a v1 hierarchy holds, so that v2 cannot have them."""
    held: list[str] = []
    for line in proc_cgroup.split("\n"):
        number, _, rest = line.partition(":")
        if number != "0":
            held.extend(name for name in rest.partition(":")[0].split(",") if name)
    return tuple(held)

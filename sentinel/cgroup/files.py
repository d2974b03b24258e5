"""Names, formats and parsers of the kernel's cgroup v2 files (cgroup-v2.rst).

Pure: text in, frozen types out.
"""

from __future__ import annotations

from typing import NamedTuple

from sentinel.model.snapshot import Composition

CGROUP_CONTROLLERS = "cgroup.controllers"
CGROUP_EVENTS = "cgroup.events"
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
MEMORY_STAT = "memory.stat"
MEMORY_SWAP_CURRENT = "memory.swap.current"
MEMORY_SWAP_MAX = "memory.swap.max"
PIDS_MAX = "pids.max"

UNLIMITED = "max"
CPU_PERIOD = 100_000
"""Microseconds; the kernel's default period of cpu.max."""


def parse_flat_keyed(text: str) -> dict[str, int]:
    """Read `key value` lines: memory.stat, memory.events, cgroup.events, cpu.stat."""
    counts = {}
    for line in text.split("\n"):
        key, _, value = line.partition(" ")
        if value.isascii() and value.isdigit():
            counts[key] = int(value)
    return counts


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


class MemoryStat(NamedTuple):
    """The keys of memory.stat that the guard judges by, bytes."""

    anon: int
    file: int
    shmem: int
    kernel: int
    sock: int
    active_anon: int
    inactive_anon: int
    active_file: int
    inactive_file: int
    unevictable: int
    slab_reclaimable: int


def parse_memory_stat(text: str) -> MemoryStat:
    """Read memory.stat. `kernel` (Linux 5.18) is rebuilt from its parts where it is missing."""
    stat = parse_flat_keyed(text)
    if "kernel" not in stat:
        parts = ("kernel_stack", "pagetables", "percpu", "vmalloc", "slab")
        stat["kernel"] = sum(stat.get(part, 0) for part in parts)
    return MemoryStat(*(stat.get(key, 0) for key in MemoryStat._fields))


def working_set(current: int, stat: MemoryStat, swap: int) -> int:
    """U: bytes that reclaim cannot free, plus what was swapped out (design, section 1).

    The smaller of two views, because each errs upwards for an instant: what is not file pages
    or reclaimable slab (pages isolated by reclaim linger there), and what is on the anonymous
    and unevictable lists plus kernel memory (LRU counters are not atomic: 20 % too high was
    seen on 6.12 during rotation). Neither counts MADV_FREE pages, which sit on inactive_file
    while `anon` still holds them, and both count shmem, which `file` holds.
    """
    not_reclaimable = current - stat.active_file - stat.inactive_file - stat.slab_reclaimable
    anonymous_lists = (
        stat.active_anon
        + stat.inactive_anon
        + stat.unevictable
        + stat.kernel
        - stat.slab_reclaimable
        + stat.sock
    )
    return max(0, min(not_reclaimable, anonymous_lists)) + swap


def non_file(current: int, stat: MemoryStat) -> int:
    """Bytes on no list of file pages, where MADV_FREE pages are, too: only slab can still go."""
    return max(0, current - stat.active_file - stat.inactive_file)


def composition(current: int, stat: MemoryStat) -> Composition:
    """Split `current` bytes by kind.

    `file` is page cache without shmem; `other` is the rest, the per-CPU charge stock among it.
    """
    cache = max(0, stat.file - stat.shmem)
    known = stat.anon + cache + stat.shmem + stat.kernel + stat.sock
    return Composition(
        anon=stat.anon,
        file=cache,
        shmem=stat.shmem,
        kernel=stat.kernel,
        sock=stat.sock,
        other=max(0, current - known),
    )


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

"""A run's own cgroup as metrics: what stands in its files (cgroup-v2.rst)."""

from __future__ import annotations

import os

from sentinel.linux.memorystat import (
    composition,
    parse_flat_keyed,
    parse_memory_stat,
    working_set,
)
from sentinel.metrics.catalogue import Values, put
from sentinel.metrics.detector import Point
from sentinel.metrics.leaffiles import COUNTING, Texts, read_leaf
from sentinel.model.errors import KernelFileError

PRESENT = (*COUNTING, "memory.current", "memory.swap.current", "pids.current", "memory.max")
EVENTS = ("low", "high", "max", "oom", "oom_kill", "oom_group_kill")

_OWN_AND_PARENT = 2
"""Links of a directory of cgroupfs that has no directory in it."""


def processes(path: str) -> list[int]:
    """Numbers of the processes of a cgroup and of all below it; 0 for those out of sight.

    What vanishes meanwhile has none. Raises KernelFileError.
    """
    return _listed(path, "cgroup.procs")


def _listed(path: str, name: str) -> list[int]:
    text = (read_leaf(path, (name,)) or {}).get(name, "")
    found = [int(word) for word in text.split()]
    for below in _below(path):
        found += _listed(below, name)
    return found


def cgroup_ids(path: str) -> list[int]:
    """What the kernel calls this cgroup and all below it: their inodes (kernfs, 64 bit)."""
    try:
        found = [os.stat(path).st_ino]
    except FileNotFoundError:
        return []
    for below in _below(path):
        found += cgroup_ids(below)
    return found


def _below(path: str) -> list[str]:
    try:
        if os.stat(path).st_nlink <= _OWN_AND_PARENT:
            return []
        with os.scandir(path) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def limits_above(path: str, known: dict[str, int | None]) -> int | None:
    """The tightest memory.max or memory.high above the cgroup `path`, bytes; None: no limit.

    `known` remembers cgroups within one collection: a hundred runs share their ancestors.
    """
    parent = os.path.dirname(path)
    if parent == path:
        return None
    if parent not in known:
        try:
            texts = read_leaf(parent, ("memory.max", "memory.high")) or {}
        except KernelFileError:
            texts = {}
        # The root of the hierarchy has neither file, and above the mount is no cgroup.
        further = (limits_above(parent, known),) if texts else ()
        known[parent] = _tightest(*map(_limit, texts.values()), *further)
    return known[parent]


def _tightest(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _limit(text: str) -> int | None:
    return _whole(text.strip())


def _whole(word: str) -> int | None:
    return int(word) if word.isascii() and word.isdigit() else None


def counters(texts: Texts) -> Values:
    """What the files count, and the peak."""
    values: Values = {}
    stat = parse_flat_keyed(texts.get("memory.stat", ""))
    events = parse_flat_keyed(texts.get("memory.events", ""))
    put(values, "sentinel_memory_peak_bytes", _whole(texts.get("memory.peak", "").strip()))
    for event in EVENTS:
        put(values, "sentinel_memory_events_total", events.get(event), event)
    put(values, "sentinel_memory_pgfault_total", stat.get("pgfault"))
    put(values, "sentinel_memory_pgmajfault_total", stat.get("pgmajfault"))
    for kind in ("anon", "file"):
        name = "sentinel_memory_workingset_refault_total"
        put(values, name, stat.get(f"workingset_refault_{kind}"), kind)
    for resource in ("memory", "cpu", "io"):
        for kind, seconds in _stalled(texts.get(f"{resource}.pressure", "")).items():
            put(values, "sentinel_pressure_seconds_total", seconds, resource, kind)
    cpu = parse_flat_keyed(texts.get("cpu.stat", ""))
    for mode in ("user", "system"):
        used = cpu.get(f"{mode}_usec")
        put(values, "sentinel_cpu_seconds_total", None if used is None else used / 1e6, mode)
    if "io.stat" in texts:
        for direction, key in (("read", "rbytes="), ("write", "wbytes=")):
            moved = _moved(texts["io.stat"], key)
            put(values, "sentinel_io_bytes_total", moved, direction)
    return values


def _stalled(text: str) -> dict[str, float]:
    """Seconds by `some` and `full` from a PSI file, which counts microseconds (psi.rst)."""
    found = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        total = _whole(rest.rpartition("total=")[2])
        if kind in ("some", "full") and total is not None:
            found[kind] = total / 1e6
    return found


def _moved(text: str, key: str) -> int:
    """The sum over all devices of io.stat."""
    words = (word for line in text.splitlines() for word in line.split())
    return sum(_whole(word.removeprefix(key)) or 0 for word in words if word.startswith(key))


def gauges(texts: Texts) -> Values:
    """What holds now."""
    values: Values = {}
    current = _whole(texts.get("memory.current", "").strip())
    swap = _whole(texts.get("memory.swap.current", "").strip())
    put(values, "sentinel_memory_current_bytes", current)
    if current is not None and "memory.stat" in texts:
        stat = parse_memory_stat(texts["memory.stat"])
        used = working_set(current, stat, swap or 0)
        put(values, "sentinel_memory_working_set_bytes", used)
        put(values, "sentinel_memory_anon_bytes", stat.anon)
        for kind, size in composition(current, stat)._asdict().items():
            put(values, "sentinel_memory_composition_bytes", size, kind)
    put(values, "sentinel_memory_swap_current_bytes", swap)
    put(values, "sentinel_tasks", _whole(texts.get("pids.current", "").strip()))
    return values


def point(texts: Texts, now: float) -> Point | None:
    """A sample for the detector at `now`, seconds; None when memory.stat is not there."""
    current = _whole(texts.get("memory.current", "").strip())
    if current is None or "memory.stat" not in texts:
        return None
    parts = composition(current, parse_memory_stat(texts["memory.stat"]))
    return Point(now, parts.anon, parts.anon, parts.file + parts.shmem, parts.kernel + parts.sock)


def leaf_values(path: str, texts: Texts, known: dict[str, int | None]) -> Values:
    """All that the kernel tells of the live cgroup at `path`, whose files read `texts`."""
    values = {**counters(texts), **gauges(texts)}
    effective = _tightest(_limit(texts.get("memory.max", "")), limits_above(path, known))
    put(values, "sentinel_memory_effective_limit_bytes", effective)
    put(values, "sentinel_processes", len(processes(path)))
    if "sentinel_tasks" not in values:  # the pids controller is enabled for --pids alone
        put(values, "sentinel_tasks", len(_listed(path, "cgroup.threads")))
    return values

"""Runs without a cgroup: who belongs to them and what they hold, in one pass over /proc (proc(5)).

A family is everybody below its guard, which is a subreaper. No PSS here: it walks page tables,
on the guarded command's time; what the guard confirmed by PSS is asked of the guard.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import NamedTuple

from sentinel.metrics.catalogue import Values, put
from sentinel.metrics.detector import Point

EXPORTER = "sentinel-metric"
"""What an exporter calls itself (prctl(2), 15 bytes at most); one may be a guard's child."""

_DEAD = (b"Z", b"X")
_ENOUGH = 1 << 12
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Person(NamedTuple):
    """One process of the census."""

    parent: int
    threads: int
    name: bytes


Census = Mapping[int, Person]


def take_census(root: str = "/proc") -> dict[int, Person]:
    """Every living process, by number; those that vanish meanwhile are not there."""
    found = {}
    for name in os.listdir(root):
        if name.isdigit():
            person = _parse(_read(f"{root}/{name}/stat"))
            if person is not None:
                found[int(name)] = person
    return found


def _parse(text: bytes) -> Person | None:
    """Read /proc/PID/stat; None for a zombie and for what is gone."""
    closing = text.rfind(b")")
    fields = text[closing + 2 :].split(None, 19)
    if closing < 0 or len(fields) < 19 or fields[0] in _DEAD:
        return None
    return Person(int(fields[1]), int(fields[17]), text[text.index(b"(") + 1 : closing])


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, _ENOUGH)
    except OSError:
        return b""
    finally:
        os.close(fd)


def families(census: Census, guards: Collection[int]) -> dict[int, list[int]]:
    """The processes below each guard, by its number, without exporters that it started."""
    children: dict[int, list[int]] = {}
    for pid, person in census.items():
        children.setdefault(person.parent, []).append(pid)
    found = {}
    for guard in guards:
        family: list[int] = []
        queue = [pid for pid in children.get(guard, ()) if census[pid].name != EXPORTER.encode()]
        while queue:
            pid = queue.pop()
            family.append(pid)
            queue += children.get(pid, ())
        found[guard] = family
    return found


def family_values(
    census: Census, family: Collection[int], now: float, root: str = "/proc"
) -> tuple[Values, Point | None]:
    """What a family holds, and a sample for the detector at `now`; nothing when it is gone."""
    resident = shared = seen = 0
    for pid in family:
        fields = _read(f"{root}/{pid}/statm").split(None, 3)
        if len(fields) > 2:
            seen += 1
            resident += int(fields[1]) * _PAGE
            shared += int(fields[2]) * _PAGE
    values: Values = {}
    if not seen:
        return values, None
    anon = resident - shared
    put(values, "sentinel_memory_current_bytes", resident)
    put(values, "sentinel_memory_anon_bytes", anon)
    put(values, "sentinel_tasks", sum(census[pid].threads for pid in family))
    put(values, "sentinel_processes", seen)
    return values, Point(now, anon, anon, shared)


def open_descriptors(pids: Collection[int], root: str = "/proc") -> int | None:
    """How many descriptors `pids` have open; None when none of them may be looked at."""
    total, seen = 0, False
    for pid in pids:
        try:
            total += len(os.listdir(f"{root}/{pid}/fd"))
            seen = True
        except OSError:
            continue
    return total if seen else None

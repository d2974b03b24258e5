"""The guard's own weight beside a command that does nothing."""

from __future__ import annotations

import time
from typing import NamedTuple

from benchmarks.baselines import loop
from benchmarks.baselines.loop import Loop
from benchmarks.figures import Line, Of, Series, Target, Unit
from benchmarks.guarded import NAME, Run
from benchmarks.processes import cpu_seconds, memory, settle, switches
from benchmarks.row import Row
from benchmarks.site import Site
from tests.victims.build import victim

LIMIT = 64 << 20
WINDOW = 60.0
LATE_IMPORTS = 6.0
"""Seconds after which the rss backend has made its last late import."""
MOST_MEMORY = 25 << 20

STORY = """\
A program that holds 8 MiB and sleeps is guarded for 60 s, by Sentinel and by the loop side by
side. Wake-ups are the context switches, voluntary and not, of all threads of the guard. PSS
divides what other processes of the same interpreter share, of which the benchmark is one."""


class Weight(NamedTuple):
    """What a guard was seen to take in a window: switches, seconds of CPU; bytes of memory."""

    switches: float
    cpu: float
    pss: float
    rss: float


def weigh(pids: list[int], seconds: float) -> list[Weight]:
    """Watch the processes for a window, all the same one."""
    sizes = [memory(pid) for pid in pids]
    before = [(switches(pid), cpu_seconds(pid)) for pid in pids]
    time.sleep(seconds)
    after = [(switches(pid), cpu_seconds(pid)) for pid in pids]
    return [
        Weight(now[0] - then[0], now[1] - then[1], *size)
        for then, now, size in zip(before, after, sizes, strict=True)
    ]


def lines(
    backend: str, window: float, ours: Weight, theirs: Weight, *, cpu: bool
) -> tuple[Line, ...]:
    """The table of one backend; `cpu`: CPU times can be told."""

    def line(what: str, unit: Unit, at: int, target: Target | None = None) -> Line:
        subject, baseline = Series(NAME, (ours[at],)), Series(loop.NAME, (theirs[at],))
        return Line(f"{backend}: {what}", unit, subject, baseline, target)

    silent = Target(Of.WORST, 0) if backend == "cgroup" else None
    return (
        line(f"wake-ups in {window:.0f} s", Unit.COUNT, 0, silent),
        *([line(f"CPU in {window:.0f} s", Unit.SECONDS, 1)] if cpu else []),
        line("own memory, PSS", Unit.BYTES, 2, Target(Of.WORST, MOST_MEMORY)),
        line("own memory, RSS", Unit.BYTES, 3),
    )


def measure(site: Site) -> tuple[Line, ...]:
    """One window for each backend."""
    command = [victim(), "hold", "size=8M", "seconds=400"]
    window = site.seconds(WINDOW)
    found: tuple[Line, ...] = ()
    for backend in site.backends:
        with Run(backend, ["--limit", "64M"], command) as guard, Loop(LIMIT, command) as other:
            guard.wait_line("ready")
            other.wait_line("ready")
            if backend == "cgroup":
                settle(guard.pid)
            else:
                time.sleep(LATE_IMPORTS)
            ours, theirs = weigh([guard.pid, other.pid], window)
        found += lines(backend, window, ours, theirs, cpu=site.counts_cpu)
    return found


ROW = Row("idle", "Idle", STORY, measure)

"""The guard's own CPU while its command streams files, which wakes it all the time."""

from __future__ import annotations

import time
from typing import NamedTuple

from benchmarks.baselines import loop
from benchmarks.baselines.loop import Loop
from benchmarks.figures import Line, Of, Series, Target, Unit
from benchmarks.guarded import NAME, Run, word
from benchmarks.interleave import interleaved
from benchmarks.processes import cpu_seconds
from benchmarks.row import Row
from benchmarks.site import Site, cool
from tests.victims.build import victim

LIMIT = 64 << 20
FILE = 256 << 20
WINDOW = 20.0
ROUNDS = 3
MOST = 0.02

STORY = """\
A program reads a file of four times the limit (64 MiB) over and over for 20 s, three times. The
guard's CPU time, as a share of a core and as a share of the command's own CPU time. The target
is the former on a real machine, and the latter in the lab, where a core is not a core. User-mode
Linux cannot tell (it counts CPU time in whole ticks): see what the command pays there."""


class Share(NamedTuple):
    """The guard's CPU time by the wall clock, and by its command's CPU time."""

    core: float
    command: float


def share(guard: Run | Loop, seconds: float) -> Share:
    """Watch a guard and its streaming command for a while."""
    guard.wait_line("ready")
    command = word(guard.lines(), "ready", "pid")
    assert command is not None
    time.sleep(min(1.0, seconds / 4))  # the launch is another row's
    pids = (guard.pid, int(command))
    began = time.monotonic()
    before = [cpu_seconds(pid) for pid in pids]
    time.sleep(seconds)
    own, work = (cpu_seconds(pid) - then for pid, then in zip(pids, before, strict=True))
    return Share(own / (time.monotonic() - began), own / work)


def lines(backend: str, found: dict[str, tuple[Share, ...]], *, in_lab: bool) -> tuple[Line, ...]:
    """The table of one backend."""

    def line(what: str, at: int, *, promised: bool) -> Line:
        subject, baseline = (
            Series(who, tuple(share[at] for share in found[who])) for who in (NAME, loop.NAME)
        )
        target = Target(Of.MEDIAN, MOST) if promised else None
        return Line(f"{backend}: CPU, share of {what}", Unit.FRACTION, subject, baseline, target)

    return (
        line("a core", 0, promised=not in_lab),
        line("the command's", 1, promised=in_lab),
    )


def measure(site: Site) -> tuple[Line, ...]:
    """Three rounds for each backend."""
    window, path = site.seconds(WINDOW), site.file(FILE)
    command = [victim(), "read", f"file={path}", f"size={FILE}", "seconds=200"]
    found: tuple[Line, ...] = ()
    for backend in site.backends:

        def ours(backend: str = backend) -> Share:
            cool(path)
            with Run(backend, ["--limit", "64M"], command) as guard:
                return share(guard, window)

        def theirs() -> Share:
            cool(path)
            with Loop(LIMIT, command) as guard:
                return share(guard, window)

        shares = interleaved({NAME: ours, loop.NAME: theirs}, site.times(ROUNDS))
        found += lines(backend, shares, in_lab=site.name != "native")
    return found


ROW = Row("streaming", "Streaming files", STORY, measure, counting=True)

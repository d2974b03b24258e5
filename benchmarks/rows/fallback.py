"""The rss backend against the loop that everybody writes instead."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import guarded
from benchmarks.baselines import loop
from benchmarks.baselines.loop import Loop
from benchmarks.figures import Line, Of, Series, Target, Unit
from benchmarks.guarded import NAME, Ended, Run, await_line
from benchmarks.interleave import interleaved
from benchmarks.processes import cpu_seconds
from benchmarks.row import Row
from benchmarks.site import Site
from tests.victims.build import victim

LIMIT = 200 << 20
RATE = "80M"
END = "600M"
THIRD = 1 / 3
STRANGERS = 500
WINDOW = 10.0
WINDOWS = 3
SETTLED = 8.0
"""Seconds after which the late imports are made and the first full scan is over."""
MOST_CPU = 0.01
SHARED = 200 << 20
SHARED_LIMIT = 300 << 20

LEAK_STORY = """\
A C program leaks at 80 MiB/s into 200 MiB. Overshoot: its largest resident set over the limit,
from wait4(2), for both. It starts from 0 to 0.5 s late, a little later in every round, so that
no interval of anybody's happens to suit it."""
STEADY_STORY = """\
A program that holds 100 MiB is guarded at 200 MiB beside 500 strangers, by Sentinel and by the
loop side by side, after 8 s in which both settle. CPU time of the guard, three windows of 10 s."""
SHARING_STORY = """\
A parent forks four workers that share its 200 MiB; the limit is 300 MiB. Counted is how often
they are left alone: the sum of their resident sets is 1 GiB, what they hold is 200 MiB."""


def leak(phase: float) -> list[str]:
    """The leak, begun `phase` of the loop's interval late; SIGTERM ends it where it is."""
    words = [victim(), "leak", f"rate={RATE}", f"max={END}", "seconds=60"]
    return loop.late(phase, words)


def overshoot(peak: int) -> float:
    """How far over the limit, as a fraction of it."""
    return peak / LIMIT - 1


def leak_lines(ours: tuple[Ended, ...], theirs: tuple[loop.Looped, ...]) -> tuple[Line, ...]:
    """The table of the leaks."""
    return (
        Line(
            "rss: overshoot",
            Unit.FRACTION,
            Series(NAME, tuple(overshoot(ended.peak) for ended in ours)),
            Series(loop.NAME, tuple(overshoot(looped.peak) for looped in theirs)),
            Target(Of.RATIO, THIRD),
        ),
    )


def measure_leak(site: Site) -> tuple[Line, ...]:
    """Ten rounds, ten phases."""
    rounds = site.times(10)
    ours, theirs = [], []
    for turn in range(rounds):
        command = leak(turn / rounds)
        ours.append(guarded.run("rss", ["--limit", "200M"], command))
        theirs.append(loop.run(LIMIT, command))
    return leak_lines(tuple(ours), tuple(theirs))


@contextmanager
def strangers() -> Iterator[None]:
    """Processes that belong to nobody's run."""
    with tempfile.NamedTemporaryFile(prefix="sentinel-bench-") as out:
        words = [victim(), "forks", f"count={STRANGERS}", "seconds=300"]
        crowd = subprocess.Popen(words, stdout=out, start_new_session=True)
        try:
            await_line(out.name, "ready")
            yield
        finally:
            os.killpg(crowd.pid, 9)
            crowd.wait()


def measure_steady(site: Site) -> tuple[Line, ...]:
    """Three windows."""
    command = [victim(), "hold", "size=100M", "seconds=300"]
    with (
        strangers(),
        Run("rss", ["--limit", "200M"], command) as guard,
        Loop(LIMIT, command) as other,
    ):
        guard.wait_line("ready")
        other.wait_line("ready")
        time.sleep(SETTLED)
        shares = [
            window([guard.pid, other.pid], site.seconds(WINDOW)) for _ in range(site.times(WINDOWS))
        ]
    return steady_lines(shares)


def window(pids: list[int], seconds: float) -> list[float]:
    """Shares of a core that the processes took in a window."""
    began = time.monotonic()
    before = [cpu_seconds(pid) for pid in pids]
    time.sleep(seconds)
    used = [cpu_seconds(pid) - then for pid, then in zip(pids, before, strict=True)]
    return [value / (time.monotonic() - began) for value in used]


def steady_lines(shares: list[list[float]]) -> tuple[Line, ...]:
    """The table of the shares, ours and the loop's, window by window."""
    ours, theirs = (tuple(values) for values in zip(*shares, strict=True))
    subject, baseline = Series(NAME, ours), Series(loop.NAME, theirs)
    what = f"rss: CPU, share of a core, {STRANGERS} strangers"
    return (Line(what, Unit.FRACTION, subject, baseline, Target(Of.MEDIAN, MOST_CPU)),)


def measure_sharing(site: Site) -> tuple[Line, ...]:
    """Five rounds."""
    command = [victim(), "workers", "count=4", f"size={SHARED}", f"max={SHARED}", "seconds=3"]

    def ours() -> float:
        return float(guarded.run("rss", ["--limit", "300M"], command).verdict == "exited")

    def theirs() -> float:
        return float(loop.run(SHARED_LIMIT, command).struck_at is None)

    return sharing_lines(interleaved({NAME: ours, loop.NAME: theirs}, site.times(5)))


def sharing_lines(found: dict[str, tuple[float, ...]]) -> tuple[Line, ...]:
    """The table of who was left alone."""
    subject, baseline = Series(NAME, found[NAME]), Series(loop.NAME, found[loop.NAME])
    target = Target(Of.EVERY)
    return (Line("rss: sharing workers left alone", Unit.SUCCESSES, subject, baseline, target),)


ROWS = (
    Row("rss-leak", "Without a cgroup: a leak", LEAK_STORY, measure_leak, ("rss",)),
    Row("rss-steady", "Without a cgroup: the cost", STEADY_STORY, measure_steady, ("rss",)),
    Row("rss-sharing", "Without a cgroup: shared memory", SHARING_STORY, measure_sharing, ("rss",)),
)

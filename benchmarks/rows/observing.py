"""The observer of a read-only container against the rss backend in the same container."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.baselines import loop
from benchmarks.figures import Line, Of, Series, Target, Unit
from benchmarks.guarded import NAME, Ended, Run
from benchmarks.row import Row
from benchmarks.site import Site
from tests.kernel import contained
from tests.kernel.cgroupfs import enable, remove
from tests.lab import capability
from tests.victims.build import victim

LIMIT = 64 << 20
RATE = "80M"
END = "512M"
"""Where a leak that nobody stops ends by itself; no wall comes before that."""
HALF = 0.5
BASELINE = "the rss backend"

STORY = """\
A container that can only read its cgroup tree, made by hand: a cgroup, namespaces over it, a
read-only mount. In it a C program leaks at 80 MiB/s into 64 MiB, under `--backend cgroup-ro` and
under `--backend rss` in turns. Overshoot: its largest resident set, from wait4(2), less its
text, over the limit, for both; SIGTERM ends it where it is. The observer counts kernel memory,
too, so it may strike a little earlier. The leak starts from 0 to 0.5 s late, a little later in
every round, so that no interval of anybody's happens to suit it."""


@contextmanager
def box() -> Iterator[str]:
    """A cgroup for the container."""
    top = capability.base_cgroup()
    enable(top)
    path = os.path.join(top, f"sentinel-bench-{os.getpid()}")
    os.mkdir(path)
    try:
        yield path
    finally:
        remove(path)


def run(backend: str, command: list[str], cgroup: str) -> Ended:
    """Guard `command` in the container."""
    within = contained.within(cgroup, options="ro")
    with Run(
        backend, ["--limit", str(LIMIT), "--hard-limit", "none"], command, within=within
    ) as guard:
        return guard.end()


def leak(phase: float) -> list[str]:
    """The leak, begun `phase` of half a second late; SIGTERM ends it where it is."""
    words = [victim(), "leak", f"rate={RATE}", "steady=1", "chunk=32K", f"max={END}", "seconds=60"]
    return loop.late(phase, words)


def mapped_files() -> int:
    """What of the victim's resident set is the text that it runs, which is no leak's fault."""
    words = [victim(), "hold", "size=4K", "seconds=60"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as idle:
        try:
            assert idle.stdout is not None
            idle.stdout.readline()
            with open(f"/proc/{idle.pid}/statm", encoding="ascii") as file:
                return int(file.read().split()[2]) * os.sysconf("SC_PAGE_SIZE")
        finally:
            idle.kill()


def leak_lines(ours: tuple[float, ...], theirs: tuple[float, ...]) -> Line:
    """The table of the leaks."""
    return Line(
        "cgroup-ro: overshoot at 80 MiB/s",
        Unit.FRACTION,
        Series(NAME, ours),
        Series(BASELINE, theirs),
        Target(Of.MEDIANS, HALF),
    )


def measure_leak(site: Site) -> tuple[Line, ...]:
    """Twenty rounds, each at its phase."""
    rounds = site.times(20, 6)
    text = mapped_files()

    def overshoot(backend: str, turn: int, cgroup: str) -> float:
        ended = run(backend, leak(turn / rounds), cgroup)
        if ended.verdict not in ("soft-limit", "exited"):
            raise ValueError(f"the leak ended as {ended.verdict}: {ended.document}")
        return (ended.peak - text) / LIMIT - 1

    with box() as cgroup:
        pairs = [
            (overshoot("cgroup-ro", turn, cgroup), overshoot("rss", turn, cgroup))
            for turn in range(rounds)
        ]
    ours, theirs = zip(*pairs, strict=True)
    return (leak_lines(ours, theirs),)


ROW = Row("observing", "In a container that can only read", STORY, measure_leak, ("cgroup",))

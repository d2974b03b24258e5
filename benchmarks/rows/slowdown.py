"""What being guarded costs a command that stays within its limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks import guarded
from benchmarks.baselines import leaf
from benchmarks.figures import Line, Series, Unit
from benchmarks.guarded import NAME
from benchmarks.interleave import interleaved
from benchmarks.row import Row
from benchmarks.site import Site, cool
from benchmarks.workload import program, seconds_per_unit

FILE = 256 << 20
WALL = 128 << 20
"""What Sentinel puts there for a limit of 64 MiB by itself."""
SECONDS = 2.0
ROUNDS = 7
AGAINST = {"cgroup": "plain leaf, same memory.max", "rss": "bare"}

STORY = """\
Time per unit of work under Sentinel with `--limit 64M`, against the same program without: in a
plain leaf with the same `memory.max` (cgroup), or bare (rss). *stream* reads a file of 256 MiB
over and over (per MiB), *alloc* maps, writes and unmaps 4 MiB, *fork* forks a child that exits."""


def works(path: str, seconds: str) -> Mapping[str, list[str]]:
    """The kinds of work, as the words of a command line."""
    return {
        "stream": [program(), "stream", path, seconds],
        "alloc": [program(), "alloc", seconds],
        "fork": [program(), "fork", seconds],
    }


def contestants(backend: str, command: list[str], path: str) -> Mapping[str, Callable[[], float]]:
    """Each returns seconds per unit. In a leaf, the file at `path` is read from the disk."""

    def ours() -> float:
        if backend == "cgroup":
            cool(path)
        return seconds_per_unit(guarded.run(backend, ["--limit", "64M"], command).lines)

    def without() -> float:
        if backend == "cgroup":
            cool(path)
        limits = {"memory.max": WALL} if backend == "cgroup" else None
        return seconds_per_unit(leaf.run(command, limits))

    return {NAME: ours, AGAINST[backend]: without}


def line(backend: str, work: str, found: Mapping[str, tuple[float, ...]]) -> Line:
    """The table of one kind of work."""
    against = AGAINST[backend]
    subject, baseline = Series(NAME, found[NAME]), Series(against, found[against])
    return Line(f"{backend}: {work}, each", Unit.SECONDS, subject, baseline)


def measure(site: Site) -> tuple[Line, ...]:
    """Seven rounds for each kind of work."""
    rounds, path = site.times(ROUNDS, slow=5), site.file(FILE)
    return tuple(
        line(backend, work, interleaved(contestants(backend, command, path), rounds))
        for backend in site.backends
        for work, command in works(path, f"{site.seconds(SECONDS):g}").items()
    )


ROW = Row("slowdown", "What the command pays", STORY, measure)

"""What the grace is worth: whether a handler that needs memory finishes its checkpoint."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping

from benchmarks import guarded
from benchmarks.baselines import braked, leaf
from benchmarks.figures import Line, Of, Series, Target, Unit
from benchmarks.guarded import NAME
from benchmarks.interleave import interleaved
from benchmarks.row import Row
from benchmarks.site import Site
from tests.victims import pyleak
from tests.victims.build import victim

LIMIT = 64 << 20
WALL = 128 << 20
"""What Sentinel puts there for a limit of 64 MiB by itself."""
CHECKPOINT = 32 << 20
WALL_ONLY = "memory.max alone"

STORY = """\
A program leaks flat out at 64 MiB; its SIGTERM handler allocates 32 MiB, writes them out and
calls fsync. Counted is how often the file is complete after the grace of 3 s (10 s on the
emulated CPU). *memory.high left in place* is the naive trip-wire: SIGTERM at the first `high`
event, wall at 128 MiB as Sentinel's, the wire left where it is. *memory.max alone* is what
containers do: a wall at 64 MiB."""


def words(language: str, path: str) -> list[str]:
    """The leak."""
    bounds = ["rate=0", "max=120M", "handler=32M", f"checkpoint={path}"]
    if language == "C":
        return [victim(), "leak", *bounds]
    return [sys.executable, "-I", pyleak.__file__, *bounds]


def saved(path: str) -> bool:
    """Whether the checkpoint is whole; nothing of it is left for the next round."""
    whole = os.path.exists(path) and os.path.getsize(path) == CHECKPOINT
    for name in (path, f"{path}.part"):
        if os.path.exists(name):
            os.unlink(name)
    return whole


def contestants(language: str, site: Site) -> Mapping[str, Callable[[], tuple[bool, float | None]]]:
    """Each returns whether the checkpoint is whole, and the grace used if that is known."""
    path = site.path("checkpoint")
    command = words(language, path)
    grace = 10.0 if site.slow else 3.0

    def ours() -> tuple[bool, float | None]:
        options = ["--limit", "64M", "--grace", f"{grace:g}s"]
        ended = guarded.run("cgroup", options, command)
        return saved(path), ended.document["evidence"]["grace"]["used"]

    def naive() -> tuple[bool, float | None]:
        braked.run(command, LIMIT, WALL, grace)
        return saved(path), None

    def wall() -> tuple[bool, float | None]:
        leaf.run(command, {"memory.max": LIMIT})
        return saved(path), None

    return {NAME: ours, braked.NAME: naive, WALL_ONLY: wall}


def lines(
    language: str, found: Mapping[str, tuple[tuple[bool, float | None], ...]]
) -> tuple[Line, ...]:
    """The table of one language."""
    successes = {
        who: Series(who, tuple(float(whole) for whole, _ in values))
        for who, values in found.items()
    }
    used = tuple(seconds for _, seconds in found[NAME] if seconds is not None)
    what = f"{language}: checkpoint finished"
    always = Target(Of.EVERY)
    return (
        Line(what, Unit.SUCCESSES, successes[NAME], successes[braked.NAME], always),
        Line(what, Unit.SUCCESSES, successes[NAME], successes[WALL_ONLY], always),
        Line(f"{language}: grace used", Unit.SECONDS, Series(NAME, used)),
    )


def measure(site: Site) -> tuple[Line, ...]:
    """Ten rounds for each language."""
    found: tuple[Line, ...] = ()
    for language in ("C", "Python"):
        rounds = site.times(10, slow=3)
        found += lines(language, interleaved(contestants(language, site), rounds))
    return found


ROW = Row("checkpoint", "Checkpoints", STORY, measure, ("cgroup",))

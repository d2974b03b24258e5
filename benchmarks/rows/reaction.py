"""How soon a leak is noticed and asked to stop, and how far it has gone by then."""

from __future__ import annotations

import os
import subprocess
import time
from typing import NamedTuple

from benchmarks.baselines import loop
from benchmarks.baselines.braked import await_high
from benchmarks.figures import Line, Of, Series, Target, Unit
from benchmarks.guarded import NAME, Ended, Run, preferred
from benchmarks.processes import PATIENCE, settle, wait_for
from benchmarks.row import Row
from benchmarks.site import Site
from tests.kernel.guarded import leaves
from tests.lab import capability
from tests.victims.build import victim

LIMIT = 64 << 20
MEDIAN_SECONDS = 0.100
MOST_OVER = 0.05
END = "512M"
"""Where a leak that nobody stops ends by itself."""

STORY = """\
A C program leaks at 20 MiB/s, at 80 MiB/s and flat out into `--limit 64M`. *From the first
reading over* and *from the first high event* are Sentinel's own account (`evidence.reaction`).
*End to end* is measured from outside: from the kernel's first `high` event, which the benchmark
awaits with a descriptor of its own, to the first line that the program's SIGTERM handler prints.
Overshoot is `memory.current` at SIGTERM over the limit; for the loop, the largest resident set
that the program reached (it ends by itself at 512 MiB). Under the loop it starts from 0 to 0.5 s
late, a little later in every round, so that no interval happens to suit it."""


class Speed(NamedTuple):
    """A leak, and how often it is watched; `slow`: on an emulated CPU."""

    name: str
    rate: str
    rounds: int
    slow: int


SPEEDS = (
    Speed("20 MiB/s", "20M", 5, 3),
    Speed("80 MiB/s", "80M", 10, 5),
    Speed("flat out", "0", 10, 5),
)


class Reaction(NamedTuple):
    """One run: seconds, and a fraction of the limit. None: not seen."""

    from_over: float | None
    from_event: float | None
    end_to_end: float | None
    overshoot: float


def words(speed: Speed, checkpoint: str) -> list[str]:
    """The leak; its handler needs no memory."""
    bounds = [f"rate={speed.rate}", f"max={END}", "seconds=60"]
    return [victim(), "leak", *bounds, f"checkpoint={checkpoint}", "handler=0"]


def guarded(speed: Speed, site: Site) -> Reaction:
    """Sentinel's turn: the leak waits behind a shell until somebody else watches the leaf, too."""
    gate = ["sh", "-c", 'read go; exec "$@"', "sh"]
    leak = words(speed, site.path("reaction"))
    with Run("cgroup", ["--limit", "64M"], [*gate, *leak], subprocess.PIPE) as guard:
        leaf = wait_for(_leaf, "a leaf")
        settle(guard.pid, 0.3)
        events = os.open(os.path.join(leaf, "memory.events.local"), os.O_RDONLY)
        ended = os.pidfd_open(guard.pid)
        try:
            with preferred():
                assert guard.process.stdin is not None
                guard.process.stdin.write(b"\n")
                guard.process.stdin.flush()
                seen = await_high(events, ended, PATIENCE)
                at = time.monotonic()
        finally:
            os.close(events)
            os.close(ended)
        return reaction(guard.end(), at if seen else None)


def _leaf() -> str | None:
    return next(iter(leaves(capability.base_cgroup())), None)


def reaction(ended: Ended, event_at: float | None) -> Reaction:
    """What a finished run says of itself and of its handler."""
    if ended.verdict != "soft-limit":
        raise ValueError(f"the leak ended as {ended.verdict}: {ended.document}")
    told = ended.document["evidence"]["reaction"]
    handler = ended.word("handler", "t_us")
    end_to_end = None if handler is None or event_at is None else handler / 1e6 - event_at
    current = next(m["current"] for m in ended.document["timeline"] if m["what"] == "asked to stop")
    return Reaction(
        told["from_first_over"], told["from_first_event"], end_to_end, current / LIMIT - 1
    )


def looped(speed: Speed, site: Site, phase: float) -> float:
    """The loop's turn, the leak begun `phase` of its interval late: its overshoot."""
    command = loop.late(phase, words(speed, site.path("reaction")))
    return loop.run(LIMIT, command).peak / LIMIT - 1


def lines(
    speed: Speed, ours: tuple[Reaction, ...], loops: tuple[float, ...], *, promised: bool
) -> tuple[Line, ...]:
    """The table of one speed. `promised`: the times have a target here."""
    target = Target(Of.MEDIAN, MEDIAN_SECONDS) if promised else None

    def times(what: str, values: list[float | None], target: Target | None = None) -> Line:
        known = tuple(value for value in values if value is not None)
        return Line(f"{speed.name}: {what}", Unit.SECONDS, Series(NAME, known), None, target)

    return (
        times("first reading over to SIGTERM", [r.from_over for r in ours], target),
        times("first high event to SIGTERM", [r.from_event for r in ours]),
        times("end to end", [r.end_to_end for r in ours]),
        Line(
            f"{speed.name}: overshoot",
            Unit.FRACTION,
            Series(NAME, tuple(r.overshoot for r in ours)),
            Series(loop.NAME, loops),
            Target(Of.WORST, MOST_OVER),
        ),
    )


def measure(site: Site) -> tuple[Line, ...]:
    """All speeds, Sentinel and the loop in turns."""
    found: tuple[Line, ...] = ()
    for speed in SPEEDS:
        rounds = site.times(speed.rounds, speed.slow)
        ours, loops = [], []
        for turn in range(rounds):
            ours.append(guarded(speed, site))
            loops.append(looped(speed, site, turn / rounds))
        promised = not site.slow and speed.rate != "20M"
        found += lines(speed, tuple(ours), tuple(loops), promised=promised)
    return found


ROW = Row("reaction", "Reaction", STORY, measure, ("cgroup",))

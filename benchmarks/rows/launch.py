"""What a launch costs: from fork to the end of a command that does nothing."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from benchmarks.baselines import click_path
from benchmarks.figures import Line, Of, Series, Target, Unit
from benchmarks.guarded import NAME, SENTINEL
from benchmarks.interleave import interleaved
from benchmarks.row import Row
from benchmarks.site import Site

PYTHON = "python3 -I -c pass"
BARE = "true"
CLICK = "Sentinel, words read by click"
MOST = 6.0

STORY = """\
Wall time of `sentinel exec -- true`, from the fork to the end, against `python3 -I -c pass` of
the same interpreter and against a bare fork and exec of `true`. The third line is Sentinel as it
would be if click read every command line."""


def timed(argv: Sequence[str]) -> Callable[[], float]:
    """A contestant: run `argv` to its end without a word, seconds."""

    def once() -> float:
        null = os.open(os.devnull, os.O_RDWR)
        actions = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)]
        began = time.perf_counter()
        pid = os.posix_spawnp(argv[0], list(argv), os.environ, file_actions=actions)
        _, status = os.waitpid(pid, 0)
        took = time.perf_counter() - began
        os.close(null)
        if status:
            raise ValueError(f"{argv} ended with wait status {status}")
        return took

    return once


def lines(found: Mapping[str, tuple[float, ...]]) -> tuple[Line, ...]:
    """The table of the times in seconds by contestant."""
    ours, python = Series(NAME, found[NAME]), Series(PYTHON, found[PYTHON])
    what = "launch of `true`"
    return (
        Line(what, Unit.SECONDS, ours, python, Target(Of.RATIO, MOST)),
        Line(what, Unit.SECONDS, ours, Series("bare " + BARE, found[BARE])),
        Line(f"{what}, words read by click", Unit.SECONDS, Series(NAME, found[CLICK]), python),
    )


def measure(site: Site) -> tuple[Line, ...]:
    """Twenty rounds, after one that warms the caches."""
    contestants = {
        NAME: timed([SENTINEL, "exec", "--", BARE]),
        PYTHON: timed([sys.executable, "-I", "-c", "pass"]),
        BARE: timed([BARE]),
        CLICK: timed([sys.executable, os.path.abspath(click_path.__file__), BARE]),
    }
    return lines(interleaved(contestants, site.times(20), warm_up=1))


ROW = Row("launch", "Launch", STORY, measure)

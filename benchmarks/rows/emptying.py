"""How long a large tree of processes takes to be gone."""

from __future__ import annotations

import os
import select
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from benchmarks import guarded
from benchmarks.baselines.leaf import plain_leaf, start
from benchmarks.figures import Line, Series, Unit
from benchmarks.guarded import NAME
from benchmarks.interleave import interleaved
from benchmarks.processes import PATIENCE
from benchmarks.row import Row
from benchmarks.site import Site
from tests.kernel import cgroupfs
from tests.victims.build import victim

PROCESSES = 500
LOOP = "SIGKILL pid by pid"
BY_HAND = "cgroup.kill by hand"

STORY = """\
A program leaves 500 sleeping processes behind. Sentinel: from its order to kill until the leaf
is empty, counted and removed (the polite signal is one that they do not notice, so that all are
there when the grace ends). Against: SIGKILL to every pid in `cgroup.procs`, again until
`populated 0`; and a bare write to `cgroup.kill`, until `populated 0`, which is the least that it
can take."""


def command() -> list[str]:
    """The program that leaves them behind."""
    return [victim(), "forks", f"count={PROCESSES}", "then=exit", "seconds=120"]


def ours(grace: float) -> float:
    """Sentinel's turn, seconds. `grace` is for asking everybody, which is not what is measured."""
    # URG is ignored by who does not ask for it: all are left for the kill.
    options = ["--limit", "1G", "--signal", "URG", "--grace", f"{grace:g}s"]
    ended = guarded.run("cgroup", options, command())
    begun, over = ended.at("killed"), ended.at("over")
    if begun is None or over is None or ended.document["survivors_killed"] != PROCESSES:
        raise ValueError(f"500 were to be killed: {ended.document}")
    return over - begun


def by_hand(kill: Callable[[str], None]) -> Callable[[], float]:
    """Have a plain leaf emptied by `kill`, seconds."""
    return lambda: _emptied(kill)


def _emptied(kill: Callable[[str], None]) -> float:
    with (
        plain_leaf({}) as leaf,
        tempfile.NamedTemporaryFile(prefix="sentinel-bench-") as out,
    ):
        start(leaf, command(), out.fileno()).wait()
        began = time.perf_counter()
        kill(leaf)
        return time.perf_counter() - began


def at_once(leaf: str) -> None:
    """One write."""
    cgroupfs.write(leaf, "cgroup.kill", "1")
    cgroupfs.await_empty(leaf)


def pid_by_pid(leaf: str) -> None:
    """SIGKILL whoever is there until nobody is, sleeping only when nobody new was found."""
    events = os.open(os.path.join(leaf, "cgroup.events"), os.O_RDONLY)
    poll = select.poll()
    poll.register(events, select.POLLPRI)
    deadline = time.monotonic() + PATIENCE
    killed: set[str] = set()
    try:
        while b"populated 1" in os.pread(events, 256, 0):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{leaf} is not empty after {PATIENCE:g} s of killing")
            fresh = set(cgroupfs.read(leaf, "cgroup.procs").split()) - killed
            for pid in fresh:
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            killed |= fresh
            if not fresh:
                poll.poll(100)
    finally:
        os.close(events)


def lines(found: dict[str, tuple[float, ...]]) -> tuple[Line, ...]:
    """The table of the seconds by contestant."""
    ours = Series(NAME, found[NAME])
    return tuple(
        Line(f"{PROCESSES} processes: kill to empty", Unit.SECONDS, ours, Series(who, found[who]))
        for who in (LOOP, BY_HAND)
    )


def measure(site: Site) -> tuple[Line, ...]:
    """Ten rounds."""
    contestants: dict[str, Callable[[], float]] = {
        NAME: partial(ours, 4.0 if site.slow else 1.5),
        LOOP: by_hand(pid_by_pid),
        BY_HAND: by_hand(at_once),
    }
    return lines(interleaved(contestants, site.times(10, slow=5)))


ROW = Row("emptying", "A tree of 500 processes", STORY, measure, ("cgroup",))

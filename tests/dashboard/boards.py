"""Boards to draw: a leak, a frozen run, a run over its limit, and names that mean harm."""

from __future__ import annotations

import io

from rich.console import Console
from rich.text import Text

from sentinel.dashboard.board import Board, Happened, Process, Sample, Size, Watched
from sentinel.dashboard.gauges import UNICODE, Glyphs
from sentinel.dashboard.view import Picture
from sentinel.model.snapshot import Composition, Reading
from sentinel.model.spec import Limits, StopPlan
from sentinel.model.status import Pressure, RunStatus, Tally
from sentinel.model.units import MIB

HOSTILE = "\x1b[31m[red]\n\u202e\udc80"
"""A name with an escape sequence, markup, a line end, a bidirectional mark and a stray byte."""

PROCESSES = (
    Process(4242, 1, "python3", "S", 100 * MIB, 4),
    Process(4250, 4242, "worker", "R", 30 * MIB, 1),
    Process(4251, 4242, "worker", "D", 12 * MIB, 1),
    Process(4260, 4250, "sh", "Z", None, 1),
)


def status(name: str, used: int, *, state: str = "watching", frozen: bool = False) -> RunStatus:
    """An answer of a run in a leaf with 200 MiB to use."""
    parts = Composition(anon=used - MIB, file=3 * MIB, shmem=0, kernel=MIB, sock=0, other=0)
    return RunStatus(
        name=name,
        state=state,
        verdict="",
        backend="cgroup",
        pid=4242,
        leaf="/sys/fs/cgroup/leaf",
        command="python3",
        started=1e9,
        elapsed=12.3,
        reading=Reading(0.0, used + 3 * MIB, used, used - MIB, parts, 5),
        tally=Tally(used + 8 * MIB, used + 2 * MIB, 3, 1),
        limits=Limits(200 * MIB, 300 * MIB),
        stop=StopPlan(),
        frozen=frozen,
        pressure=Pressure(4.2, 0.0),
    )


def watched(
    name: str, used: int, *, growth: int = 0, state: str = "watching", frozen: bool = False
) -> Watched:
    """A run that was seen for ten seconds, growing by `growth` bytes a second."""
    history = tuple(Sample(second + 2.3, used - growth * (10 - second)) for second in range(11))
    events = (
        Happened(11.9, "soft crossed", "", 200 * MIB),
        Happened(12.0, "asked to stop", "SIGTERM"),
    )
    found = status(name, used, state=state, frozen=frozen)
    return Watched(name, name, 4241, 1000, "/run/x.sock", found, used, history, events)


LEAK = watched("leaker", 148 * MIB, growth=12 * MIB)
FROZEN = watched("frozen", 20 * MIB, frozen=True)
OVER = watched("over", 230 * MIB, growth=-2 * MIB, state="terminating")
RUNS = (LEAK, FROZEN, OVER)
BOARD = Board(runs=RUNS, processes=PROCESSES, omitted=2)


def drawn(
    board: Board, size: Size, output: tuple[Text, ...] = (), glyphs: Glyphs = UNICODE
) -> list[str]:
    """The lines of a picture, blanks at their ends included."""
    console = Console(
        file=io.StringIO(),
        width=size.columns,
        height=size.rows,
        color_system=None,
        force_terminal=True,
        legacy_windows=False,
    )
    with console.capture() as captured:
        console.print(Picture(board, size, output, glyphs), end="")
    return captured.get().split("\n")


def golden(lines: list[str]) -> str:
    """Lines without the blanks at their ends, as they stand in a test."""
    return "\n".join(line.rstrip() for line in lines)

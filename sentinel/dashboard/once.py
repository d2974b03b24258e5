"""The runs as plain text, once: for pipes, logs and terminals that can do no more."""

from __future__ import annotations

import io

from rich.cells import cell_len
from rich.console import Console

from sentinel.dashboard import runs
from sentinel.dashboard.board import Watched
from sentinel.dashboard.choice import Choice
from sentinel.dashboard.gauges import ASCII
from sentinel.dashboard.watcher import Registry, Watcher
from sentinel.linux.loop import Loop
from sentinel.linux.terminal import is_terminal
from sentinel.report.lines import printable

WIDTH = 200
"""Columns of the table at most: names longer than what the others leave are cut."""


def is_live(keys: int, out: int, term: str) -> bool:
    """Whether a dashboard can be shown: keys can be read, and pictures drawn."""
    return is_terminal(keys, out) and term not in ("", "dumb", "unknown")


def text(registry: Registry, *, everyone: bool = False) -> str:
    """One line for each live run below a heading; asks all of them, for a second at most."""
    loop = Loop()
    watcher = Watcher(loop, registry, follow=False)
    try:
        watcher.round(Choice())
        while watcher.deadline is not None:
            watcher.serve(loop.wait(watcher.deadline))
            watcher.expire()
        return table_text(watcher.runs(), everyone=everyone)
    finally:
        watcher.close()
        loop.close()


def table_text(found: tuple[Watched, ...], *, everyone: bool = False) -> str:
    """The table, without colours and without blanks at the ends of lines."""
    if not found:
        return "no run is live\n"
    columns = [column for column in runs.fitting(WIDTH, everyone=everyone) if column.plain]
    longest = max(cell_len(printable(run.name)) for run in found)
    width = sum(column.width + 1 for column in columns) + max(runs.NAME_WIDTH, longest) + 3
    console = Console(
        file=io.StringIO(), width=min(width, WIDTH), color_system=None, legacy_windows=False
    )
    with console.capture() as captured:
        console.print(runs.table(found, range(len(found)), -1, columns, ASCII))
    return "".join(f"{line[2:].rstrip()}\n" for line in captured.get().splitlines())

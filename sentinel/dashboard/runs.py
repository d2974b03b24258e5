"""The table of runs: one line for each, as many columns as fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from sentinel.dashboard import gauges
from sentinel.dashboard.board import Watched
from sentinel.dashboard.gauges import Glyphs
from sentinel.report.lines import printable

NAME_WIDTH = 12
"""The least that a name gets; it takes what the others leave."""


class Column(NamedTuple):
    """A column; what has no room goes by `rank`, the highest first.

    `plain`: it stands in the table for pipes, too.
    """

    title: str
    width: int
    rank: int
    cell: Callable[[Watched, Glyphs], Text]
    right: bool = True
    plain: bool = True


def state(run: Watched) -> str:
    """What a run is doing, in a word or two."""
    if run.ended:
        return run.ended
    if not run.socket:
        return "no socket"
    if run.why_silent:
        return "silent"
    if run.status is None:
        return "new"
    return "frozen" if run.status.frozen else run.status.state


def _state(run: Watched, glyphs: Glyphs) -> Text:
    del glyphs
    word = state(run)
    quiet = word in ("watching", "new", "no socket")
    style = "dim" if run.ended else "" if quiet else "bold red"
    return Text(printable(word), "cyan" if word == "frozen" else style)


def _used(run: Watched, glyphs: Glyphs) -> Text:
    del glyphs
    return Text(gauges.size(run.used))


def _limit(run: Watched, glyphs: Glyphs) -> Text:
    del glyphs
    return Text(gauges.size(run.status.limits.soft if run.status else None))


def _share(run: Watched, glyphs: Glyphs) -> Text:
    soft = run.status.limits.soft if run.status else 0
    return gauges.small_bar(run.used, soft, SHARE_WIDTH, glyphs)


def _growth(run: Watched, glyphs: Glyphs) -> Text:
    del glyphs
    return Text(gauges.growth(None if run.ended else run.growth))


def _left(run: Watched, glyphs: Glyphs) -> Text:
    del glyphs
    left = None if run.ended else run.time_to_limit
    return Text(gauges.seconds(left), "bold" if left is not None and left < SOON else "")


def _elapsed(run: Watched, glyphs: Glyphs) -> Text:
    del glyphs
    return Text(gauges.seconds(run.status.elapsed if run.status else None))


def _pid(run: Watched, glyphs: Glyphs) -> Text:
    del glyphs
    return Text(str(run.status.pid if run.status else run.pid))


def _uid(run: Watched, glyphs: Glyphs) -> Text:
    del glyphs
    return Text(str(run.uid))


def _backend(run: Watched, glyphs: Glyphs) -> Text:
    del glyphs
    return Text(printable(run.status.backend) if run.status else gauges.UNKNOWN)


SHARE_WIDTH = 15
SOON = 60.0
"""Seconds to the limit that are shown in bold."""

COLUMNS = (
    Column("STATE", 11, 2, _state, right=False),
    Column("USED", 6, 0, _used),
    Column("LIMIT", 6, 1, _limit),
    Column("OF LIMIT", SHARE_WIDTH, 4, _share, right=False, plain=False),
    Column("GROWTH", 9, 5, _growth),
    Column("LIMIT IN", 8, 3, _left),
    Column("RUNS FOR", 8, 6, _elapsed),
    Column("PID", 7, 7, _pid),
    Column("BACKEND", 9, 8, _backend, right=False),
)
OWNER = Column("UID", 6, 2, _uid)


def fitting(width: int, *, everyone: bool) -> list[Column]:
    """The columns beside the name that `width` characters hold, in their order."""
    chosen = [OWNER, *COLUMNS] if everyone else list(COLUMNS)
    while chosen and NAME_WIDTH + 2 + sum(column.width + 1 for column in chosen) > width:
        chosen.remove(max(chosen, key=lambda column: column.rank))
    return chosen


def window(count: int, selected: int, room: int) -> range:
    """Which of `count` rows are shown in `room` rows, so that the selected one is among them."""
    first = min(max(0, selected - room // 2), max(0, count - room))
    return range(first, min(count, first + room))


def table(
    runs: Sequence[Watched], shown: range, selected: int, columns: Sequence[Column], glyphs: Glyphs
) -> Table:
    """The rows `shown` of `runs`, with a cursor at `selected` (-1: none), one line each."""
    grid = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), expand=True, header_style="dim")
    grid.add_column("", width=1, no_wrap=True)
    grid.add_column("NAME", min_width=4, ratio=1, no_wrap=True, overflow="ellipsis")
    for column in columns:
        grid.add_column(
            column.title,
            width=column.width,
            no_wrap=True,
            overflow="ellipsis",
            justify="right" if column.right else "left",
        )
    for index in shown:
        run = runs[index]
        here = index == selected
        grid.add_row(
            glyphs.cursor if here else " ",
            Text(printable(run.name), "bold" if here else ""),
            *(column.cell(run, glyphs) for column in columns),
            style="dim" if run.ended and not here else "",
        )
    return grid

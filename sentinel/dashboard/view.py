"""The whole picture: a board and a size become exactly as many lines as the terminal has.

Pure: no clock, no file, no terminal. What has no room is left out, the least telling first.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from sentinel.dashboard import detail, gauges, runs
from sentinel.dashboard.board import Board, Size, Watched
from sentinel.dashboard.gauges import UNICODE, Glyphs
from sentinel.dashboard.layout import plan
from sentinel.report.lines import printable

_ORDERS = ("s stop", "k kill", "f freeze", "+ - limit")
KEYS = ("{arrows} select", *_ORDERS, "? help", "q quit")
KEYS_OF_ONE = (*_ORDERS, "^C interrupt", "? help", "q close")
ALWAYS = 2
"""Keys at the end of the foot that stand there in the narrowest terminal: help has the others."""
HELP = (
    "up, down      select a run; PgUp, PgDn, Home, End in longer steps",
    "s             stop it: its signal, its grace, then the kill",
    "k             kill it now",
    "f             freeze it, or let a frozen one go on",
    "+ and -       raise or lower its soft limit by a tenth",
    "y, n          every one of these is asked back first",
    "q             leave; the runs go on",
    "Ctrl-Z        suspend the dashboard",
)
HELP_OF_ONE = (
    *HELP[1:6],
    "q             close the dashboard; the command goes on, its output comes here",
    "Ctrl-C        interrupt the command, as without a dashboard",
    "Ctrl-Z        freeze the command and give back the shell; fg goes on",
)


WIDEST_TABLE = 120
"""Columns beyond which names would only move away from their numbers."""


class Picture:
    """`board` as a rich renderable of exactly the terminal's size; `output` fills the pane."""

    def __init__(
        self, board: Board, size: Size, output: Sequence[Text] = (), glyphs: Glyphs = UNICODE
    ) -> None:
        """Everything that is drawn, and what with."""
        self._board = board
        self._size = size
        self._output = output
        self._glyphs = glyphs

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw; what is too wide or too high is cut off, so that nothing ever wraps or scrolls."""
        size = self._size
        body = Group(*(_cut(part, size.columns, self._glyphs) for part in self._parts()))
        inner = options.update(width=size.columns, height=max(0, size.rows - 1))
        lines = console.render_lines(body, inner)
        foot = options.update(width=size.columns, height=1)
        lines += console.render_lines(
            _cut(_foot(self._board, size.columns, self._glyphs), size.columns, self._glyphs), foot
        )
        for number, line in enumerate(lines[: size.rows]):
            if number:
                yield Text("\n", end="")
            yield from line

    def _parts(self) -> list[RenderableType]:
        board, size, glyphs = self._board, self._size, self._glyphs
        rows = plan(board, size)
        shown = runs.window(len(board.runs), board.selected, max(0, rows.table - 1))
        parts: list[RenderableType] = [_title(board, shown, glyphs)]
        if board.help:
            keys = HELP if board.pane is None else HELP_OF_ONE
            return [*parts, Text(), *(Text(f" {line}") for line in keys)]
        if board.pane is None:
            parts += self._runs(shown)
        run = board.run
        if run is not None and rows.gauges:
            lines = detail.gauge_lines(run, size.columns, glyphs)
            if board.pane is None:
                parts.append(_rule(f"{run.name}, {_about(run)}", size.columns, glyphs))
                lines = lines[: rows.gauges - 1]
            parts += _padded(lines, rows.gauges - (board.pane is None))
        if run is not None and rows.lists:
            parts.append(_lists(board, run, rows.lists, size.columns, glyphs))
        elif rows.lists:
            parts += _padded([], rows.lists)
        if board.pane is not None:
            if run is None:
                parts += _padded([Text("waiting for the run", "dim")], rows.gauges)
            kept = "kept" if board.whole else "NOT WHOLE"
            parts.append(_rule(f"output, {kept} in {board.pane}", size.columns, glyphs))
            parts += self._output[-rows.pane :] if rows.pane else []
        return parts

    def _runs(self, shown: range) -> list[RenderableType]:
        board = self._board
        if not board.runs:
            return [Text(), Text(" no run is live: start one with sentinel exec CMD", "dim")]
        if not shown:
            return []
        width = min(self._size.columns, WIDEST_TABLE)
        columns = runs.fitting(width, everyone=board.everyone)
        table = runs.table(board.runs, shown, board.selected, columns, self._glyphs)
        table.width = width
        return [table]


def _cut(part: RenderableType, columns: int, glyphs: Glyphs) -> RenderableType:
    """A line that is too long ends in an ellipsis."""
    if isinstance(part, Text):
        part.no_wrap = True
        if part.cell_len > columns:
            part.truncate(max(0, columns - 1))
            part.append(glyphs.ellipsis)
        part.overflow = "crop"
    return part


def _title(board: Board, shown: range, glyphs: Glyphs) -> Text:
    title = Text("sentinel", "bold", no_wrap=True)
    if board.pane is not None:
        run = board.run
        if run is not None:
            title.append(f"{glyphs.gap}{printable(run.name)}{glyphs.gap}{_about(run)}", "not bold")
        return title
    live = sum(not run.ended for run in board.runs)
    whose = " of all users" if board.everyone else ""
    title.append(f" top{glyphs.gap}{live} run{'' if live == 1 else 's'}{whose}", "not bold")
    if board.runs and live != len(board.runs):
        title.append(f"{glyphs.gap}{len(board.runs) - live} just ended", "not bold dim")
    if len(shown) < len(board.runs) and shown:
        title.append(f"{glyphs.gap}lines {shown.start + 1} to {shown.stop}", "not bold dim")
    return title


def _about(run: Watched) -> str:
    words = [runs.state(run)]
    if run.status is not None:
        status = run.status
        words += [f"pid {status.pid}", status.backend, status.command]
        words.append(f"runs for {gauges.seconds(status.elapsed)}")
    return ", ".join(printable(word) for word in words if word)


def _rule(text: str, columns: int, glyphs: Glyphs) -> Text:
    line = Text(f"{glyphs.rule * 2} ", "dim", no_wrap=True)
    line.append(printable(text), "not dim")
    line.append(" " + glyphs.rule * max(0, columns - line.cell_len - 1), "dim")
    return line


def _padded(lines: list[Text], rows: int) -> list[Text]:
    return lines[:rows] + [Text("") for _ in range(rows - len(lines))]


def _lists(board: Board, run: Watched, rows: int, columns: int, glyphs: Glyphs) -> RenderableType:
    """Processes on the left, events on the right, under a heading each."""
    left = columns // 2 - 1 if columns >= 60 else columns
    right = columns - left - 2
    processes = detail.process_lines(board.processes, board.omitted, glyphs)
    if len(processes) > rows - 1:
        hidden = len(board.processes) + board.omitted - (rows - 2)
        processes = [*processes[: rows - 2], Text(f"{'':8}{hidden} more", "dim")]
    grid = Table.grid(padding=0, expand=False)
    grid.add_column(width=left, no_wrap=True)
    if right > 0:
        grid.add_column(width=2)
        grid.add_column(width=right, no_wrap=True)
    events = detail.event_lines(run.events, rows - 1)
    rows_left = [Text("PROCESSES BY MEMORY", "dim"), *_padded(processes, rows - 1)]
    rows_right = [Text("EVENTS", "dim"), *_padded(events, rows - 1)]
    for one, other in zip(rows_left, rows_right, strict=True):
        _cut(one, left, glyphs)
        if right > 0:
            _cut(other, right, glyphs)
            grid.add_row(one, "", other)
        else:
            grid.add_row(one)
    return grid


def _foot(board: Board, columns: int, glyphs: Glyphs) -> Text:
    if board.question:
        return Text(f"(y/n) {printable(board.question)}", "bold reverse")
    if board.help:
        return Text("any key goes back", "dim")
    keys = list(KEYS if board.pane is None else KEYS_OF_ONE)
    if board.message:
        return _beside(board.message, "  ".join(keys[-ALWAYS:]), columns)
    keys[0] = keys[0].replace("{arrows}", glyphs.arrows)
    while len("  ".join(keys)) > columns and len(keys) > ALWAYS:
        del keys[-ALWAYS - 1]
    return Text("  ".join(keys), "dim")


def _beside(message: str, keys: str, columns: int) -> Text:
    """`message`, and `keys` at the right edge if there is room for both."""
    line = Text(no_wrap=True).append(printable(message), "bold")
    room = columns - line.cell_len - len(keys)
    return line.append(" " * room).append(keys, "dim") if room >= 2 else line

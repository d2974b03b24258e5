"""Who gets how many rows of the terminal. Pure, and without rich: the keeper asks, too."""

from __future__ import annotations

from typing import NamedTuple

from sentinel.dashboard.board import Board, Size

GAUGES = 4
LEAST_PANE = 3
LEAST_DETAILED = 8
"""Rows between title and foot from which on the selected run is shown closely."""


class Plan(NamedTuple):
    """How many rows each part gets; 0: it is left out."""

    table: int
    gauges: int
    lists: int
    pane: int


def plan(board: Board, size: Size) -> Plan:
    """Share out the rows: a title and a foot, the runs, the gauges, the lists, the output."""
    room = size.rows - 2
    if board.pane is not None:
        drawn = min(GAUGES, max(0, room - LEAST_PANE - 1))
        spare = room - drawn - 1 - LEAST_PANE
        lists = 0 if spare < 6 else min(5, spare // 2)
        return Plan(0, drawn, lists, max(0, room - drawn - lists - 1))
    table = len(board.runs) + 1
    if room < LEAST_DETAILED or not board.runs:
        return Plan(max(0, min(table, room)), 0, 0, 0)
    rest = max(room - table, min(room // 2, GAUGES + 1))
    drawn = min(GAUGES + 1, rest)
    lists = rest - drawn if rest - drawn >= 3 else 0
    return Plan(min(table, room - drawn - lists), drawn, lists, 0)


def pane_size(size: Size) -> Size:
    """Columns and rows of the pane in a terminal of `size`: what the command's pty is told."""
    return Size(max(1, size.columns), max(1, plan(Board(pane=""), size).pane))

"""`sentinel ls`: the live runs, one line each."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from threading import Thread
from typing import NamedTuple

import click

from sentinel.commands.asking import (
    Document,
    json_option,
    label,
    parsed,
    reached,
    show_document,
)
from sentinel.control import client, registry
from sentinel.control.registry import Entry
from sentinel.model.errors import SentinelError
from sentinel.model.units import format_duration, format_size
from sentinel.report.lines import printable

PATIENCE = 1.0
"""Seconds that a run has for its answer. All are asked at the same time, and a live guard needs
milliseconds; on a machine that thrashes, where people look, tenths of a second.
"""

MOST_AT_A_TIME = 64
"""Threads that ask."""

MOST_LATE = 2
"""Runs that a thread waits for in vain; then the rest is shown unasked."""

LONGEST_CELL = 80
"""Characters of a cell. The longest name and a uid before it have room."""

SILENT = "?"
"""In place of what a run that does not answer would have told."""

_HELP = """\
List the live runs, the oldest first.

A run that does not answer within a second, or has no socket, is shown as it registered, with ?
for the rest. Another user's run is called UID/NAME, here and by the other verbs.
"""

_HEADER = ("NAME", "STATE", "BACKEND", "PID", "ELAPSED", "WORKING-SET", "LIMIT", "COMMAND")
_RIGHT = frozenset({"PID", "ELAPSED", "WORKING-SET", "LIMIT"})


class Row(NamedTuple):
    """A run as it registered, and what it answered; None when it did not."""

    entry: Entry
    status: Document | None


def command() -> click.Command:
    """The verb for click."""
    everybody = click.Option(
        ["--all", "everybody"], is_flag=True, help="Those of all users; needs root for others'."
    )
    return click.Command(
        "ls",
        params=[everybody, json_option()],
        callback=_list,
        help=_HELP,
        short_help="List the live runs.",
    )


def _list(*, everybody: bool, as_json: bool) -> int:
    registry.sweep()
    rows = asked(registry.live_of_everybody() if everybody else registry.live())
    if as_json:
        show_document({"schema": 1, "runs": [_document(row) for row in rows]})
    else:
        for line in table(rows):
            click.echo(line)
    return 0


def asked(entries: Sequence[Entry]) -> list[Row]:
    """What each of `entries` answers in time; however many do not, it is soon told."""
    answers: list[Document | None] = [None] * len(entries)
    waiting = list(enumerate(entries))

    def work() -> None:
        late = 0
        while waiting and late < MOST_LATE:
            try:
                at, entry = waiting.pop()
            except IndexError:
                return
            try:
                answers[at] = _status(entry)
            except client.Late:
                late += 1

    threads = [Thread(target=work, daemon=True) for _ in entries[:MOST_AT_A_TIME]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [Row(*row) for row in zip(entries, answers, strict=True)]


def _status(entry: Entry) -> Document | None:
    """What `entry` answers; None when it does not. Raises Late."""
    try:
        with reached(entry) as path:
            document = parsed(client.ask(path, "status json", PATIENCE))
    except client.Late:
        raise
    except SentinelError:
        return None
    return None if "error" in document else document


def table(rows: Sequence[Row]) -> list[str]:
    """Aligned lines, the header first: numbers to the right, words to the left."""
    cells = [_HEADER, *map(_cells, rows)]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        laid = [
            _padded(cell, width, right=title in _RIGHT)
            for cell, width, title in zip(row, widths, _HEADER, strict=True)
        ]
        lines.append("  ".join(laid).rstrip())
    return lines


def _cells(row: Row) -> tuple[str, ...]:
    entry, status = row
    told = status or {}
    state = str(told.get("state", SILENT))
    cells = (
        label(entry),
        f"{state} (frozen)" if told.get("frozen") else state,
        entry.backend,
        str(entry.main),
        _shown(told.get("elapsed"), format_duration),
        _shown(_inner(told, "memory", "working_set"), format_size),
        _shown(_inner(told, "limits", "soft") or entry.soft, format_size),
        entry.command,
    )
    return tuple(_short(printable(cell)) for cell in cells)


def _short(cell: str) -> str:
    """What another user wrote down may be as long as a page: no cell is."""
    return cell if len(cell) <= LONGEST_CELL else f"{cell[: LONGEST_CELL - 3]}..."


def _padded(cell: str, width: int, *, right: bool) -> str:
    blanks = " " * (width - _width(cell))
    return blanks + cell if right else cell + blanks


def _width(cell: str) -> int:
    """Columns of a terminal: a wide letter takes two, a mark on the letter before it none."""
    wide = sum(unicodedata.east_asian_width(letter) in ("W", "F") for letter in cell)
    marks = sum(unicodedata.category(letter) in ("Mn", "Me") for letter in cell)
    return len(cell) + wide - marks


def _shown(number: object, form: Callable[[float], str]) -> str:
    return form(number) if isinstance(number, int | float) else SILENT


def _inner(document: Document, outer: str, inner: str) -> object:
    found = document.get(outer)
    return found.get(inner) if isinstance(found, dict) else None


def _document(row: Row) -> Document:
    """The entry as it is, `status` as the run told it, null when it did not."""
    return {**row.entry._asdict(), "status": row.status}

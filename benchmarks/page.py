"""README.md from the recorded results. Pure, but for where the page is."""

from __future__ import annotations

import os
from collections.abc import Sequence

from benchmarks.figures import Line
from benchmarks.record import Record
from benchmarks.row import Row
from benchmarks.table import as_markdown

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "README.md")

_HEAD = """\
# What guarding costs, and what it buys

Made from `benchmarks/results/` by `python -m benchmarks --page`; not written by hand. Each
number is the median [least, most] of its rounds. Sentinel and what it is measured against run
in turns (A B A B ...), so that both see the same machine; the ratio is Sentinel's value over
the other's, round by round where both had as many rounds. Ratios carry over to other machines,
absolute numbers hardly: the lab's kernels run several times slower than a real machine.

    make bench                                      all that can run here
    .venv/bin/python -m benchmarks --quick          the same, two short rounds of everything
    .venv/bin/python -m benchmarks --lab 6.1 --only launch
    .venv/bin/python -m benchmarks --write          and record it here

Times are wall time unless CPU is said. *Missed* is a target that was not reached.
"""
_NOTHING = "No results are recorded yet: `.venv/bin/python -m benchmarks --write`."


def page(records: Sequence[Record], rows: Sequence[Row]) -> str:
    """The whole page."""
    parts = [_HEAD, "## Measured on", _scenes(records)]
    for row in rows:
        found = [(record.site, line) for record in records for line in _lines(record, row.name)]
        if found:
            parts += [f"## {row.title}", row.story, as_markdown(found)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _scenes(records: Sequence[Record]) -> str:
    if not records:
        return _NOTHING
    return "\n".join(
        f"- **{record.site}**: {record.scene.kernel}, on {record.scene.machine};"
        f" {record.scene.python}"
        for record in records
    )


def _lines(record: Record, row: str) -> tuple[Line, ...]:
    return next((measured.lines for measured in record.rows if measured.row == row), ())


def write(records: Sequence[Record], rows: Sequence[Row]) -> None:
    """Replace the page."""
    with open(PATH, "w", encoding="utf-8") as file:
        file.write(page(records, rows))

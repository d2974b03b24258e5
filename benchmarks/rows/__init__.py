"""All rows, in the order of the page."""

from __future__ import annotations

from benchmarks.row import Row
from benchmarks.rows import (
    checkpoint,
    emptying,
    fallback,
    idle,
    launch,
    observing,
    reaction,
    scope,
    scraping,
    slowdown,
    streaming,
    talking,
)

ROWS: tuple[Row, ...] = (
    launch.ROW,
    scope.ROW,
    reaction.ROW,
    checkpoint.ROW,
    emptying.ROW,
    idle.ROW,
    streaming.ROW,
    slowdown.ROW,
    *fallback.ROWS,
    observing.ROW,
    *talking.ROWS,
    *scraping.ROWS,
)

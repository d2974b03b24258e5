"""Measure rows on the running kernel, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from benchmarks.figures import Measured
from benchmarks.record import Record
from benchmarks.row import Row
from benchmarks.scene import scene
from benchmarks.site import Site

Progress = Callable[[Record], None]
"""Called after every row with all there is so far."""


def measure(site: Site, rows: Sequence[Row], progress: Progress) -> Record:
    """Measure the rows that fit `site`."""
    record = Record(site.name, scene(site.name), ())
    for row in rows:
        if row.fits(site):
            record = record._replace(rows=(*record.rows, measured(row, site)))
            progress(record)
    return record


def measured(row: Row, site: Site) -> Measured:
    """One row; what goes wrong is told in its place, and must not take the others along."""
    began = time.monotonic()
    try:
        lines = row.measure(site)
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to this row
        failure = f"{type(error).__name__}: {error}"
        return Measured(row.name, (), failure, time.monotonic() - began)
    return Measured(row.name, lines, "", time.monotonic() - began)

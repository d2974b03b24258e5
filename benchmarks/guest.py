"""Inside the lab: measure, and leave the results where the host finds them.

python -m benchmarks.guest [--quick] [ROW...]
"""

from __future__ import annotations

import os
import sys

from benchmarks.measuring import measure
from benchmarks.record import Record, save
from benchmarks.rows import ROWS
from benchmarks.site import here

RESULTS = "results.json"


def main(words: list[str]) -> None:
    """Measure the rows named, all when none is."""
    site = here(os.environ["SENTINEL_SCRATCH"], quick="--quick" in words)
    rows = [row for row in ROWS if row.name in words or not set(words) - {"--quick"}]
    path = os.path.join(os.environ["SENTINEL_EXCHANGE"], RESULTS)

    def progress(record: Record) -> None:
        save(record, path)
        last = record.rows[-1]
        words = last.failure or f"{len(last.lines)} lines"
        print(f"  {record.site} {last.row}: {words}, {last.seconds:.0f} s", flush=True)

    measure(site, rows, progress)


if __name__ == "__main__":
    main(sys.argv[1:])

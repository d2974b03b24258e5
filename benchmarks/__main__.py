"""What guarding costs and what it buys, measured here and in the kernels of the lab.

    python -m benchmarks                      all that can run here (make bench)
    python -m benchmarks --native             this machine only
    python -m benchmarks --lab 6.1            one kernel of the lab
    python -m benchmarks --only launch --only idle
    python -m benchmarks --quick              two short rounds of everything: does it run?
    python -m benchmarks --write              record the results and make README.md from them

The exit status is 0 when everything asked for was measured, 1 when not, whatever it says.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence

from benchmarks import lab, page, table
from benchmarks.measuring import measure
from benchmarks.record import Record, as_json, load, merged, recorded, recorded_path, save
from benchmarks.row import Row
from benchmarks.rows import ROWS
from benchmarks.site import SYSTEMD, here
from tests.lab import STATE, LabError
from tests.lab import machine as lab_machine
from tests.lab.kernels import KERNELS, missing_packages

NAMES = tuple(row.name for row in ROWS)


def main() -> int:
    """Run the command line."""
    options = _parser().parse_args()
    if options.page:
        page.write(recorded(), ROWS)
        return 0
    if options.write and options.quick:
        print("--write records what was measured in full: leave out --quick", file=sys.stderr)
        return 2
    lab_machine.end_on_sigterm()
    wanted = [row for row in ROWS if row.name in (options.only or NAMES)]
    found, complete = [], True
    for site in _sites(options):
        print(f"{site}: measuring {', '.join(row.name for row in wanted)}", flush=True)
        try:
            record = _measured(site, wanted, quick=options.quick)
        except LabError as error:
            print(f"{site}: {error}", file=sys.stderr)
            complete = False
            continue
        _show(record)
        complete &= not any(row.failure for row in record.rows)
        found.append(record)
        if options.write:
            _record(record)
    if options.json is not None:
        with open(options.json, "w", encoding="ascii") as file:
            json.dump([as_json(record) for record in found], file, indent=1)
    return 0 if complete and found else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--native", action="store_true", help="this machine")
    parser.add_argument("--lab", choices=lab.TIMEOUTS, action="append", default=[], help="a kernel")
    parser.add_argument("--only", choices=NAMES, action="append", metavar="ROW", help="one row")
    parser.add_argument("--quick", action="store_true", help="two short rounds of everything")
    parser.add_argument("--write", action="store_true", help="record results, make README.md")
    parser.add_argument("--page", action="store_true", help="only make README.md again")
    parser.add_argument("--json", metavar="FILE", help="write the results to FILE")
    return parser


def _sites(options: argparse.Namespace) -> Iterator[str]:
    """What was asked for; without a word, this machine and each kernel that can be had."""
    everything = not (options.native or options.lab)
    if options.native or everything:
        yield "native"
    for name in lab.TIMEOUTS:
        missing = missing_packages([KERNELS[name.removesuffix(SYSTEMD)]])
        if name in options.lab or (everything and not missing):
            yield name
        elif everything:
            print(f"{name}: left out, it needs {' '.join(missing)}: sudo make lab-deps")


def _measured(site: str, rows: Sequence[Row], *, quick: bool) -> Record:
    if site != "native":
        return lab.measure(site, [row.name for row in rows], quick=quick)
    os.makedirs(STATE, exist_ok=True)
    lab.prepare()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as scratch:
        return measure(here(scratch, quick=quick), rows, _progress)


def _progress(record: Record) -> None:
    last = record.rows[-1]
    print(f"  {record.site} {last.row}: {last.seconds:.0f} s", flush=True)


def _show(record: Record) -> None:
    print(f"\n{record.site}: {record.scene.kernel}, {record.scene.machine}, {record.scene.python}")
    for row in record.rows:
        print(f"\n{row.row} ({row.seconds:.0f} s)")
        print(f"not measured: {row.failure}" if row.failure else table.as_text(row.lines))
    print(flush=True)


def _record(record: Record) -> None:
    path = recorded_path(record.site)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    save(merged(load(path), record, NAMES), path)
    page.write(recorded(), ROWS)


if __name__ == "__main__":
    sys.exit(main())

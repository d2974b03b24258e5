"""How many tests ran: read from pytest's JUnit files, summed for the closing line.

python -m tests.lab.reports                 the total of every report there is
"""

import glob
import os
import sys
from typing import NamedTuple
from xml.etree import ElementTree as ET

from tests.lab import STATE

REPORTS = os.path.join(STATE, "reports")


class Counts(NamedTuple):
    """Numbers of tests; an error in a fixture counts as failed."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0


def report_path(part: str) -> str:
    """Return where the JUnit file of one part of the tests belongs."""
    return os.path.join(REPORTS, f"{part}.xml")


def counts(path: str) -> Counts:
    """Return the numbers in a JUnit file; a part that left no file had no tests."""
    try:
        suites = ET.parse(path).getroot().iter("testsuite")  # noqa: S314 - our own pytest wrote it
    except FileNotFoundError:
        return Counts()
    tests = failed = skipped = 0
    for suite in suites:
        tests += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return Counts(tests - failed - skipped, failed, skipped)


def total(found: list[Counts]) -> Counts:
    """Return the sum."""
    return Counts(*map(sum, zip(Counts(), *found, strict=True)))


def main() -> int:
    """Print one line per report and the closing line; fail when no test passed."""
    paths = sorted(glob.glob(report_path("*")))
    for path in paths:
        part = os.path.basename(path).removesuffix(".xml")
        one = counts(path)
        print(f"{part:14} {one.passed} passed, {one.failed} failed, {one.skipped} skipped")
    everything = total([counts(path) for path in paths])
    print(f"{everything.passed} passed, {everything.failed} failed")
    return 0 if everything.passed and not everything.failed else 1


if __name__ == "__main__":
    sys.exit(main())

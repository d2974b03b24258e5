"""What the page in docs says in numbers."""

from __future__ import annotations

import os
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from sentinel.metrics.collector import text
from sentinel.metrics.detector import FEWEST
from sentinel.metrics.past import MOST_NAMES, fold
from sentinel.metrics.server import MOST_CONNECTIONS
from sentinel.metrics.survey import Surveyor, View
from tests.lab import ROOT
from tests.metrics.answers import answered
from tests.metrics.test_past import WORD
from tests.metrics.test_survey import at, no_past, subject
from tests.metrics.trees import LEAF, STAT, make_cgroup

with open(os.path.join(ROOT, "docs/metrics.md"), encoding="utf-8") as file:
    PAGE = file.read()

FULL_CPU = LEAF["cpu.pressure"] + LEAF["cpu.pressure"].replace("some", "full")
"""Since Linux 5.13 there is a line `full`, for symmetry."""


def series(views: list[View]) -> int:
    """How many series the one run in `views` has."""
    families = text_string_to_metric_families(text(views).body.decode())
    return sum("run" in sample.labels for family in families for sample in family.samples)


def look_often(leaf: Path) -> list[View]:
    """A live run in `leaf` that was looked at until it has a trend."""
    run = subject(leaf, hard=1 << 30)
    surveyor = Surveyor(no_past)
    for second in range(FEWEST):
        views = surveyor.look([run], {run.socket: answered()}, at(second))
    return views


def ended(views: list[View]) -> list[View]:
    """The run of `views` when it is over: what of its rows a last word keeps."""
    rows = {
        name: {
            labels: float(value) for labels, value in of.items() if isinstance(value, float | int)
        }
        for name, of in views[0].values.items()
        if not name.endswith(("_seconds", "_ended_total", "actions_total"))
    }
    return Surveyor(lambda: fold({}, [WORD._replace(values=rows)])).look([], {}, at(9))


def test_the_series_of_a_run_are_as_many_as_the_page_says(tmp_path: Path) -> None:
    """In a leaf and without one, and what is left of them."""
    leaf = make_cgroup(tmp_path / "leaf", memory_stat=STAT, cpu_pressure=FULL_CPU)
    live = look_often(leaf)
    word = WORD._replace(values={"sentinel_memory_peak_bytes": {(): 1.0}})
    plain = Surveyor(lambda: fold({}, [word])).look([], {}, at(9))
    told = re.search(r"has (\d+) series in a leaf and (\d+) .* has (\d+) and (\d+)", PAGE)
    assert told is not None
    counted = (series(live), series(live_without_leaf(live)), series(ended(live)), series(plain))
    assert counted == tuple(map(int, told.groups()))


def live_without_leaf(views: list[View]) -> list[View]:
    """The rows that a run without a leaf has."""
    row = "sentinel_memory_"
    counted = ("events", "high_ignored", "pg", "workingset", "composition", "swap", "effective")
    absent = (*(row + of for of in counted), "sentinel_pressure", "sentinel_cpu", "sentinel_io")
    rows = {name: of for name, of in views[0].values.items() if not name.startswith(absent)}
    return [View("worker", rows)]


def test_the_bounds_are_those_of_the_page() -> None:
    """Scrapers at a time, names that are remembered."""
    assert f"At most {MOST_CONNECTIONS} scrapers" in PAGE
    assert f"{MOST_NAMES} names at most" in PAGE

"""The row that asks systemd is measured where there is one, and nowhere else."""

from __future__ import annotations

import pytest

from benchmarks.guarded import NAME
from benchmarks.rows import ROWS, scope
from benchmarks.rows.launch import PYTHON
from benchmarks.site import Site


@pytest.mark.parametrize(
    ("name", "systemd", "counts_cpu"),
    [
        ("native", False, True),
        ("6.1", False, False),
        ("6.1-systemd", True, False),
        ("6.12", False, True),
        ("6.12-systemd", True, True),
    ],
)
def test_a_site_is_known_by_its_name(name: str, *, systemd: bool, counts_cpu: bool) -> None:
    """What ends with -systemd has it; every row is for one kind of site alone."""
    site = Site(name, ("cgroup", "rss"), "")
    assert (site.systemd, site.counts_cpu) == (systemd, counts_cpu)
    fitting = [row.name for row in ROWS if row.fits(site)]
    assert (fitting == [scope.ROW.name]) is systemd
    assert (scope.ROW.name in fitting) is systemd


def test_the_targets_of_a_scope() -> None:
    """Twice the bare leaf, and systemd-run itself, which is missed and says so."""
    found = {
        NAME: (0.3, 0.3),
        scope.PREPARED: (0.25, 0.25),
        scope.RUN: (0.06, 0.06),
        scope.RUN_PYTHON: (0.13, 0.13),
        scope.RUN_SENTINEL: (0.31, 0.31),
        PYTHON: (0.07, 0.07),
    }
    judged = [line.met() for line in scope.lines(found)]
    assert judged == [True, False, None, True, None]

"""What a launch costs an ordinary user of a machine with systemd, who gets a scope for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from benchmarks.figures import Line, Of, Series, Target, Unit
from benchmarks.guarded import NAME, SENTINEL
from benchmarks.interleave import interleaved
from benchmarks.row import Row
from benchmarks.rows.launch import PYTHON, timed
from benchmarks.site import Site
from tests.lab.login import as_user
from tests.lab.systemd import UID

RUN = "systemd-run --user --scope true"
RUN_PYTHON = "the same with python3 -I -c pass"
RUN_SENTINEL = "the same with Sentinel"
PREPARED = "root, a leaf without systemd"
MOST_OF_PREPARED = 2.0

STORY = """\
`sentinel exec -- true` for an ordinary user who came as by cron or sudo: the user's manager makes
a scope, over D-Bus. Everybody in this table came in the same way, through setpriv and env.
*root, a leaf without systemd* is Sentinel in a cgroup that was prepared for it, as on a kernel
without systemd; the target allowed for a D-Bus round trip on top. The target that was missed is
`systemd-run --user --scope true` itself: that is a C program, and ends before Python has begun to
work, as the line of `python3 -I -c pass` shows. *The same with Sentinel* has systemd-run make the
scope, delegated, and Sentinel use it: what the scope costs when Sentinel does not ask for it."""


def _user(*argv: str) -> Sequence[str]:
    """The command line that runs `argv` as the user, who is told where the manager is."""
    return as_user(["env", f"XDG_RUNTIME_DIR=/run/user/{UID}", *argv], "bare")


def lines(found: Mapping[str, tuple[float, ...]]) -> tuple[Line, ...]:
    """The table of the times in seconds by contestant."""
    what = "launch of `true` in a scope"

    def against(name: str, most: float | None = None) -> Line:
        target = None if most is None else Target(Of.RATIO, most)
        return Line(
            what, Unit.SECONDS, Series(NAME, found[NAME]), Series(name, found[name]), target
        )

    return (
        against(PREPARED, MOST_OF_PREPARED),
        against(RUN, 1.0),
        against(RUN_PYTHON),
        against(RUN_SENTINEL, 1.0),
        against(PYTHON),
    )


def measure(site: Site) -> tuple[Line, ...]:
    """Twenty rounds after one that warms the caches; the prepared cgroup is removed again."""
    place = "/sys/fs/cgroup/lab-bench"
    run = ("systemd-run", "--user", "--scope", "--quiet")
    launch = (SENTINEL, "exec", "--backend", "cgroup", "--limit", "64M", "--", "true")
    python = (sys.executable, "-I", "-c", "pass")
    inside = f'echo 0 >{place}/sentinel-main/cgroup.procs && exec "$@"'
    os.makedirs(f"{place}/sentinel-main")
    try:
        contestants = {
            NAME: timed(_user(*launch)),
            PREPARED: timed(["sh", "-c", inside, "sh", "env", *launch]),
            RUN: timed(_user(*run, "true")),
            RUN_PYTHON: timed(_user(*run, *python)),
            RUN_SENTINEL: timed(_user(*run, "-p", "Delegate=yes", *launch)),
            PYTHON: timed(_user(*python)),
        }
        return lines(interleaved(contestants, site.times(20), warm_up=1))
    finally:
        os.rmdir(f"{place}/sentinel-main")
        os.rmdir(place)


ROW = Row("scope", "Launch under systemd", STORY, measure, ("cgroup",), systemd=True)

"""Runs in the systemd guest: how they are started, where they are, and what is left of them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import NamedTuple

from tests.kernel.guarded import PATIENCE, SENTINEL, wait_for
from tests.lab.login import as_user
from tests.lab.systemd import UID

SOON = 60.0
"""Seconds for systemd to collect what is empty, on a machine that has much else to do."""
TOP = "/sys/fs/cgroup"
LIMIT = ["--limit", "64M"]
SHOW = ["sh", "-c", "cat /proc/self/cgroup /proc/$PPID/cgroup"]
"""Prints the cgroup of the command, then that of its guard."""
USERS_MANAGER = f"0::/user.slice/user-{UID}.slice/user@{UID}.service"
MANAGERS = (["systemctl"], as_user(["systemctl", "--user"]))
MANY = [sys.executable, os.path.join(os.path.dirname(__file__), "many.py")]


def words(*options: str) -> list[str]:
    """The command line of a run in a cgroup, or none."""
    return [SENTINEL, "exec", "--backend", "cgroup", *LIMIT, *options]


def call(argv: list[str], timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    """Run `argv` to its end."""
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=timeout)


class Places(NamedTuple):
    """The cgroups of a command and of its guard, as /proc tells them."""

    command: str
    guard: str


def places(done: subprocess.CompletedProcess[str]) -> Places:
    """What SHOW printed, in a run that went well."""
    assert (done.returncode, done.stderr) == (0, ""), done
    return Places(*done.stdout.splitlines())


def left() -> list[str]:
    """Units and cgroups of runs, of both managers."""
    units = [
        call([*manager, "list-units", "--all", "--no-legend", "sentinel-*"]).stdout
        for manager in MANAGERS
    ]
    found = [line for text in units for line in text.splitlines()]
    for directory, names, _ in os.walk(TOP):
        found += [f"{directory}/{name}" for name in names if name.startswith("sentinel-")]
    return found


def nothing_is_left() -> None:
    """Systemd collects an empty scope at once, but not before it has heard of it."""
    found: list[str] = []

    def gone() -> bool:
        found[:] = left()
        return not found

    try:
        wait_for(gone, "no unit and no cgroup of a run is left", SOON)
    except AssertionError as error:
        raise AssertionError(found) from error

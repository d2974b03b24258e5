"""`sentinel exec --dashboard`: the same guard, with a dashboard in front of its command.

The guard is a child that leads a session on a pty of its own, the dashboard is another child,
and this process keeps the output and waits. Neither the guard nor the command depends on the
dashboard.
"""

from __future__ import annotations

import os
import sys

from sentinel.commands import console
from sentinel.commands.console import LAST_WORD_MS, say
from sentinel.commands.words import Given
from sentinel.config.sources import is_quiet
from sentinel.model.errors import SentinelError

NOBODY = -1
"""A process that could not be started."""


def execute(given: Given) -> int:
    """Guard the command with a dashboard; the exit status, or minus the signal to end by.

    Where there can be no dashboard the command is guarded all the same, and who asked for one
    on the command line is told why. Called before anything was started.
    """
    from sentinel.dashboard.stage import Stage

    plain = given._replace(values={**given.values, "dashboard": "no"})
    quiet = is_quiet(given.flags, os.environ)
    name = given.values.get("name") or os.fsdecode(os.path.basename(given.argv[0]))
    try:
        stage = Stage(name, os.environ)
    except SentinelError as error:
        if "dashboard" in given.values and not quiet:
            say(f"no dashboard: {error}")
        return _guard(plain)
    guard = os.fork()
    if guard == 0:
        console.STDERR = stage.play_guard()
        return _guard(plain)
    try:
        viewer = os.fork()
    except OSError:
        viewer = NOBODY  # out of processes: the command, which has begun, goes on plainly
    if viewer == 0:
        return stage.play_viewer(guard, sys.stdout.encoding)
    try:
        return stage.play_keeper(guard, viewer, say, _say_again)
    finally:
        if not quiet:
            lost = f", not whole: {stage.log.failure}" if stage.log.failure else ""
            say(f"{name}: output is in {stage.log.path}{lost}", LAST_WORD_MS)


def _say_again(line: bytes) -> None:
    """Say a line that the guard has said on its side."""
    say(line.decode(errors="replace").removeprefix("sentinel: ").rstrip("\n"), LAST_WORD_MS)


def _guard(given: Given) -> int:
    """Run the plain guard in this process; the same status as without a dashboard."""
    from sentinel.commands.exec import execute as guard

    return guard(given)

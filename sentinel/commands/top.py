"""`sentinel top`: all live runs on a dashboard, or once as a table."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from sentinel.model.errors import UsageFault

if TYPE_CHECKING:
    from sentinel.dashboard.watcher import Registry

_HELP = """\
Show your live runs: memory against the limits, growth, processes, events.

Keys stop, kill or freeze a run and change its limit, each after a y. Where standard input or
output is no terminal, the runs are printed once, as with --once.

The exit status is 0. A signal that ends the dashboard ends it after the terminal was restored.
"""


def command() -> click.Command:
    """The verb for click."""
    once = click.Option(["--once"], is_flag=True, help="Print one table and end.")
    everyone = click.Option(
        ["-a", "--all", "everyone"], is_flag=True, help="The runs of all users (root)."
    )
    return click.Command(
        "top",
        params=[once, everyone],
        callback=_show,
        help=_HELP,
        short_help="Watch and steer your live runs.",
    )


def _show(*, once: bool, everyone: bool) -> int:
    if everyone and os.geteuid() != 0:
        raise UsageFault(
            "the runs of all users are for root to see", "leave --all out, or use sudo"
        )
    registry = _registry(everyone=everyone)
    from sentinel.dashboard import once as printed

    if once or not printed.is_live(0, 1, os.environ.get("TERM", "")):
        click.echo(printed.text(registry, everyone=everyone), nl=False)
        return 0
    from sentinel.dashboard.live import Live

    return Live(registry, 0, 1, sys.stdout.encoding).run(everyone=everyone)


def _registry(*, everyone: bool) -> Registry:
    from sentinel.control.registry import live, live_of_everybody

    return live_of_everybody if everyone else live

"""`sentinel kill`: the end of a run without a grace."""

from __future__ import annotations

import click

from sentinel.commands.asking import make_verb
from sentinel.commands.ending import end, no_wait_option

_HELP = """\
Kill everything in a run, and wait for its end.

NAME is a run's, not a process number; the program kill is reached by `sentinel exec kill`.
"""


def command() -> click.Command:
    """The verb for click."""
    return make_verb("kill", _HELP, _kill, no_wait_option())


def _kill(*, name: str | None, no_wait: bool, as_json: bool) -> int:
    return end("kill", name, wait=not no_wait, as_json=as_json)

"""`sentinel stop`: the two-step stop of a run, and its end."""

from __future__ import annotations

import click

from sentinel.commands.asking import make_verb
from sentinel.commands.ending import end, no_wait_option

_HELP = """\
Stop a run as if at its limit, and wait for its end.

It gets the polite signal and has its grace; what is left then is killed.
"""


def command() -> click.Command:
    """The verb for click."""
    return make_verb("stop", _HELP, _stop, no_wait_option())


def _stop(*, name: str | None, no_wait: bool, as_json: bool) -> int:
    return end("stop", name, wait=not no_wait, as_json=as_json)

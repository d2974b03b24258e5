"""`sentinel freeze`: halt a run where it is."""

from __future__ import annotations

import click

from sentinel.commands.asking import change, make_verb

_HELP = """\
Halt every process of a run where it is.

`sentinel thaw` lets it go on. Time limits run on meanwhile; a stop thaws it first.
"""


def command() -> click.Command:
    """The verb for click."""
    return make_verb("freeze", _HELP, _change)


def _change(*, name: str | None, as_json: bool) -> int:
    return change(name, "freeze", "freeze", as_json=as_json)

"""`sentinel grace`: another grace for a run that goes on."""

from __future__ import annotations

import click

from sentinel.commands.asking import change, make_verb
from sentinel.commands.quantity import checked
from sentinel.model.units import parse_duration

_HELP = """\
Replace the grace of a run, like: grace 10s worker.

TIME, from the polite signal to the kill, is written like 250ms, 3s or 5m. The grace of a stop
that has begun stands.
"""


def command() -> click.Command:
    """The verb for click."""
    return make_verb("grace", _HELP, _change, click.Argument(["time"]))


def _change(*, time: str, name: str | None, as_json: bool) -> int:
    wanted = checked("grace", ("TIME", time), name, parse_duration)
    return change(name, f"grace {wanted}", f"grace {wanted}", as_json=as_json)

"""`sentinel reclaim`: have the kernel free what a run does not need."""

from __future__ import annotations

import click

from sentinel.commands.asking import change, make_verb
from sentinel.commands.quantity import checked
from sentinel.model.units import parse_size

_HELP = """\
Have the kernel free what a run does not need.

Page cache above all: as much as it can, or --size of it, like 50M. What the run works with
is not taken from it.
"""


def command() -> click.Command:
    """The verb for click."""
    size = click.Option(["--size"], metavar="SIZE", help="Free at most this much.")
    return make_verb("reclaim", _HELP, _change, size)


def _change(*, size: str | None, name: str | None, as_json: bool) -> int:
    if size is None:
        return change(name, "reclaim", "reclaim", as_json=as_json)
    wanted = checked("reclaim --size", ("--size", size), None, parse_size)
    usage = f"reclaim --size {wanted}"
    return change(name, usage, f"reclaim {wanted}", as_json=as_json)

"""`sentinel limit`: another soft limit for a run that goes on."""

from __future__ import annotations

import click

from sentinel.commands.asking import change, make_verb
from sentinel.commands.quantity import checked
from sentinel.model.units import parse_size

_HELP = """\
Replace the soft limit of a run, like: limit 300M worker.

SIZE is written like 200M or 1.5G. A limit above the run's hard limit raises both, and the
answer says so; one below what the run uses now begins the two-step stop.
"""


def command() -> click.Command:
    """The verb for click."""
    return make_verb("limit", _HELP, _change, click.Argument(["size"]))


def _change(*, size: str, name: str | None, as_json: bool) -> int:
    wanted = checked("limit", ("SIZE", size), name, parse_size)
    return change(name, f"limit {wanted}", f"limit {wanted}", as_json=as_json)

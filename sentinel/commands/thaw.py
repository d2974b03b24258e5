"""`sentinel thaw`: let a frozen run go on."""

from __future__ import annotations

import click

from sentinel.commands.asking import change, make_verb


def command() -> click.Command:
    """The verb for click."""
    return make_verb("thaw", "Let a frozen run go on.", _change)


def _change(*, name: str | None, as_json: bool) -> int:
    return change(name, "thaw", "thaw", as_json=as_json)

"""`sentinel tree`: the processes of a run and their memory."""

from __future__ import annotations

import click

from sentinel.commands.asking import make_verb, report


def command() -> click.Command:
    """The verb for click."""
    return make_verb("tree", "Show the processes of a run, the largest first.", _show)


def _show(*, name: str | None, as_json: bool) -> int:
    return report(name, "tree", "tree", as_json=as_json)

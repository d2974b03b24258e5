"""`sentinel status`: what a run is like now, or all of them are."""

from __future__ import annotations

import click

from sentinel.commands.asking import (
    NoSuchRun,
    ask,
    candidates,
    chosen,
    make_verb,
    parsed,
    show_document,
    show_report,
)
from sentinel.commands.console import LAST_WORD_MS, say
from sentinel.control.registry import Entry
from sentinel.model.errors import SentinelError

_HELP = """\
Show what a run is like now.

Its memory, limits, growth and verdict so far. Without NAME every live run is shown, the oldest
first; with --json a line for each.
"""

_COUNT = "1 of "
"""How the first line begins when a run points out that there are others."""


def command() -> click.Command:
    """The verb for click."""
    return make_verb("status", _HELP, _show)


def _show(*, name: str | None, as_json: bool) -> int:
    if name is not None:
        return _show_one(chosen(name, "status"), as_json=as_json)
    worst = 0
    for number, entry in enumerate(candidates(None)):
        if number and not as_json:
            click.echo()
        try:
            worst = max(worst, _show_one(entry, as_json=as_json))
        except NoSuchRun:
            continue  # it ended while the others were asked
        except SentinelError as error:
            say(str(error), LAST_WORD_MS)
            worst = max(worst, error.exit_status)
    return worst


def _show_one(entry: Entry, *, as_json: bool) -> int:
    if as_json:
        document = parsed(ask(entry, "status json"))
        show_document(document)
        return 1 if "error" in document else 0
    text = ask(entry, "status")
    first, _, rest = text.partition("\n")
    return show_report(rest if first.startswith(_COUNT) else text)

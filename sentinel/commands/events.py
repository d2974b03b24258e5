"""`sentinel events`: what happens in a run, as it happens."""

from __future__ import annotations

import os
from collections.abc import Iterator

import click

from sentinel.commands.asking import (
    ERROR,
    check_not_over,
    chosen,
    gone_by_now,
    label,
    make_verb,
    parsed,
    reached,
    show_report,
)
from sentinel.commands.console import LAST_WORD_MS, say
from sentinel.control import client
from sentinel.control.registry import Entry
from sentinel.model.errors import EXIT_SENTINEL
from sentinel.report.lines import printable

STDOUT = 1

_HELP = """\
Tell what happens in a run, as lines of JSON.

It ends with the run: the first line is a greeting, the last one has the verdict. Where a slow
reader missed lines, one says how many. --json changes nothing.
"""


def command() -> click.Command:
    """The verb for click."""
    return make_verb("events", _HELP, _follow)


def _follow(*, name: str | None, as_json: bool) -> int:
    del as_json  # it always is
    entry = chosen(name, "events")
    last = ""
    try:
        for last in _told(entry):
            if last.startswith(ERROR):
                check_not_over(entry, last)
                return show_report(last)
            click.echo(printable(last))
    except BrokenPipeError:
        _hush()
        return 0  # `sentinel events | head -1`: the reader has seen enough
    except client.ControlError:
        if not last:
            gone_by_now(entry)
            raise
    document = parsed(last) if last.startswith("{") else {}
    if document.get("event") == "over":
        return 0
    say(f"{label(entry)}: the events ended before the run did: its guard has gone", LAST_WORD_MS)
    return EXIT_SENTINEL


def _told(entry: Entry) -> Iterator[str]:
    """The lines that the run tells."""
    with reached(entry) as path:
        yield from client.stream(path, "events", passed_to=STDOUT)


def _hush() -> None:
    """Let what is still buffered for the reader who left go nowhere."""
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(null, STDOUT)
    os.close(null)

"""`stop` and `kill` from here to the end: ask, then wait until the run is over."""

from __future__ import annotations

from collections.abc import Iterator

import click

from sentinel.commands.asking import (
    ERROR,
    Document,
    ask,
    change,
    chosen,
    gone_by_now,
    label,
    parsed,
    reached,
    show_answer,
    show_document,
    show_text,
)
from sentinel.control import client, registry
from sentinel.control.registry import Entry
from sentinel.model.errors import SentinelError


def no_wait_option() -> click.Option:
    """`--no-wait`."""
    text = "Return as soon as it has begun; do not wait for the end."
    return click.Option(["--no-wait"], is_flag=True, help=text)


def end(verb: str, name: str | None, *, wait: bool, as_json: bool) -> int:
    """Ask the run to end and wait for it; the exit status."""
    if not wait:
        return change(name, verb, verb, as_json=as_json)
    entry = chosen(name, verb)
    events = _events(entry)  # from before the question, so that the last word is not missed
    answer = parsed(ask(entry, f"{verb} json"))
    if "error" in answer:
        return show_answer(answer, as_json=as_json)
    if not as_json:
        show_answer(answer, as_json=False)
    over = None if events is None else _last_word(events)
    registry.wait_over(entry)
    if as_json:
        show_document({**answer, "over": over})
    else:
        how = "too many others were told its verdict" if events is None else _described(over)
        show_text(f"{label(entry)} is over: {how}")
    return 0


def _events(entry: Entry) -> Iterator[str] | None:
    """What happens in the run from now on, its greeting heard; None: it tells nobody more."""
    try:
        with reached(entry) as path:
            events = client.stream(path, "events")
            greeting = next(events, "")
    except client.ControlError:
        gone_by_now(entry)
        raise
    return None if greeting.startswith(ERROR) else events


def _last_word(events: Iterator[str]) -> Document | None:
    """The verdict as the run told it; None when its guard went without a word."""
    try:
        for line in events:
            document = parsed(line)
            if document.get("event") == "over":
                return document
    except SentinelError:
        return None
    return None


def _described(over: Document | None) -> str:
    if over is None:
        return "its guard ended without a verdict"
    return f"{over.get('verdict')}, exit status {over.get('exit_status')}"

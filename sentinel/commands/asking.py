"""How the verbs find the run that is meant, ask it, and show what it answered.

A run is found in the registry and spoken to through its socket, wherever it lives: no verb
sends a signal. What comes back was written by somebody else and is escaped before it is shown.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

from sentinel.commands.console import LAST_WORD_MS, say
from sentinel.control import client, registry
from sentinel.control.answers import error_line
from sentinel.control.registry import Entry
from sentinel.model.errors import SentinelError, UsageFault
from sentinel.model.request import OVER
from sentinel.report.lines import printable

EXIT_REFUSED = 1
"""The run answered that it will not."""

EXIT_NO_RUN = 3
"""No such run is live."""

PATIENCE = 5.0
"""Seconds for an answer. A guard answers within milliseconds, on a crowded machine within one."""

NOTE = """\
The exit status is 0, 1 when the run refused, 2 when several could be meant, 3 when no such
run is live, 125 when it did not answer.
"""
_ALONE = "Without NAME the only live run is meant."

Document = dict[str, object]
ERROR = "error: "
_ROOT = 0
_LAST_WORDS = tuple(error_line(OVER, json=json).rstrip("\n") for json in (False, True))


class NoSuchRun(SentinelError):
    """No such run is live."""

    exit_status = EXIT_NO_RUN


def make_verb(
    name: str,
    text: str,
    callback: Callable[..., int],
    *more: click.Parameter,
) -> click.Command:
    """A verb about one run: the parameters `more`, then NAME and `--json`.

    The first line of `text` is what the list of verbs says.
    """
    naming = click.Argument(["name"], required=False, shell_complete=complete_names)
    params = [*more, naming, json_option()]
    paragraphs = [text.strip(), *([] if "Without NAME" in text else [_ALONE]), NOTE]
    return click.Command(
        name,
        params=params,
        callback=callback,
        help="\n\n".join(paragraphs),
        short_help=text.partition("\n")[0],
    )


def json_option() -> click.Option:
    """`--json`."""
    return click.Option(["--json", "as_json"], is_flag=True, help="Answer in JSON.")


def complete_names(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The live runs whose name begins so."""
    del ctx, param
    return [
        CompletionItem(entry.name, help=printable(entry.command))
        for entry in registry.live()
        if entry.name.startswith(incomplete)
    ]


def label(entry: Entry) -> str:
    """How a run can be named on the command line: another user's with the uid before it."""
    name = printable(entry.name)
    return name if entry.uid == os.geteuid() else f"{entry.uid}/{name}"


def chosen(name: str | None, usage: str) -> Entry:
    """The one run that is meant: the one called `name`, or the only one that is live.

    `usage` is the verb and what comes before the name. Raises NoSuchRun, and UsageFault when
    several could be meant.
    """
    found = candidates(name)
    if len(found) == 1:
        return found[0]
    labels = [label(entry) for entry in found]
    listed = ", ".join(labels)
    if name is None:
        remedy = f"name one, like: sentinel {usage} {labels[0]}"
        raise UsageFault(f"{len(found)} runs are live: {listed}", remedy)
    remedy = "see their sockets with: sentinel ls --json"
    if len(set(labels)) > 1:
        remedy = f"say whose, like: sentinel {usage} {labels[0]}"
    raise UsageFault(f"{len(found)} runs are called {name!r}: {listed}", remedy)


def candidates(name: str | None) -> list[Entry]:
    """All live runs that `name`, or no name, can mean: at least one. Raises NoSuchRun.

    UID/NAME is another user's. A plain name that root has no run of is looked for among all.
    """
    own = registry.live()
    if name is None:
        found = own
    else:
        uid, slash, rest = name.rpartition("/")
        found = [] if slash else [entry for entry in own if entry.name == rest]
        if not found and (slash or os.geteuid() == _ROOT):
            everybody = registry.live_of_everybody()
            found = [entry for entry in everybody if entry.name == rest]
            if slash:
                found = [entry for entry in found if str(entry.uid) == uid]
    if not found:
        _no_such_run(name, own)
    return found


def _no_such_run(name: str | None, own: Sequence[Entry]) -> NoReturn:
    """Say which runs are live instead."""
    if name is None:
        raise NoSuchRun("no run is live", "start one: sentinel exec CMD")
    if not own:
        raise NoSuchRun(f"no run called {name!r} is live, nor any other")
    names = ", ".join(map(label, own))
    raise NoSuchRun(f"no run called {name!r} is live", f"live: {names}")


def ask(entry: Entry, line: str) -> str:
    """What the run answers to `line`. Raises ControlError, and NoSuchRun when it just ended."""
    with reached(entry) as path:
        try:
            answer = client.ask(path, line, PATIENCE)
        except client.ControlError:
            gone_by_now(entry)
            raise
    check_not_over(entry, answer)
    return answer


def check_not_over(entry: Entry, answer: str) -> None:
    """Raise NoSuchRun if `answer` is what a run says that ends at that very moment."""
    if answer.rstrip("\n") in _LAST_WORDS:
        raise NoSuchRun(f"{label(entry)} has just ended")


@contextlib.contextmanager
def reached(entry: Entry) -> Iterator[str]:
    """A path at which the socket of a run can be connected to.

    What another user registered may lead anywhere, to the socket of a service that obeys root:
    it is spoken to only if it is a socket that this user made, whatever the path means next.
    Raises SentinelError.
    """
    path = _socket_of(entry)
    if entry.uid == os.geteuid():
        yield path
        return
    try:
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise SentinelError(f"cannot reach {label(entry)}: {error.strerror}: {path!r}") from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISSOCK(status.st_mode) or status.st_uid != entry.uid:
            raise SentinelError(
                f"{path!r} is no socket of uid {entry.uid}", "do not trust that run"
            )
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def _socket_of(entry: Entry) -> str:
    if entry.socket:
        return entry.socket
    remedy = "signal it where it runs"
    if registry.whereabouts() == (entry.boot_id, entry.pid_namespace):
        remedy = f"signal it: kill {entry.pid}"
    raise SentinelError(f"{label(entry)} was started with --no-socket", remedy)


def gone_by_now(entry: Entry) -> None:
    """Raise NoSuchRun if the run of `entry` is over."""
    runs = registry.live(uid=entry.uid)
    if not any(run.name == entry.name and run.pid == entry.pid for run in runs):
        raise NoSuchRun(f"{label(entry)} has just ended")


def change(name: str | None, usage: str, line: str, *, as_json: bool) -> int:
    """Ask a run for a change and show what it answered; the exit status."""
    document = parsed(ask(chosen(name, usage), f"{line} json"))
    return show_answer(document, as_json=as_json)


def show_answer(document: Document, *, as_json: bool) -> int:
    """Show what a run answered to the wish for a change; the exit status."""
    refused = document.get("error")
    if as_json:
        show_document(document)
    elif refused is not None:
        say(str(refused), LAST_WORD_MS)
    else:
        show_text(str(document.get("answer", "")))
    return 0 if refused is None else EXIT_REFUSED


def report(name: str | None, usage: str, line: str, *, as_json: bool) -> int:
    """Show what a run tells of itself; the exit status."""
    entry = chosen(name, usage)
    if as_json:
        document = parsed(ask(entry, f"{line} json"))
        show_document(document)
        return EXIT_REFUSED if "error" in document else 0
    return show_report(ask(entry, line))


def show_report(text: str) -> int:
    """Show lines that a run told, or why it did not tell; the exit status."""
    if text.startswith(ERROR):
        say(text.removeprefix(ERROR).rstrip(), LAST_WORD_MS)
        return EXIT_REFUSED
    show_text(text)
    return 0


def parsed(text: str) -> Document:
    """The JSON that a run answered with. Raises SentinelError when it is none."""
    import json

    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise SentinelError(
            f"the run's answer {text[:60]!r} is no JSON", "its Sentinel may be another version"
        )
    return document


def show_document(document: object) -> None:
    """Print one line of JSON, in ASCII: nothing in it can reach a terminal as it is."""
    import json

    click.echo(json.dumps(document, separators=(",", ":")))


def show_text(text: str) -> None:
    """Print lines that somebody else wrote."""
    for line in text.splitlines():
        click.echo(printable(line))

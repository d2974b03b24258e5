"""`sentinel exec`: one command, guarded to its end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sentinel.commands.console import LAST_WORD_MS, say
from sentinel.commands.words import Given
from sentinel.config.files import load, locations
from sentinel.config.options import OPTIONS
from sentinel.config.resolve import Available, Resolved, resolve
from sentinel.config.sources import Words, gather, is_quiet
from sentinel.control.claims import clear_away, free_name, release_unused
from sentinel.guard.supervisor import Attend, Launch, supervise
from sentinel.model.errors import SentinelError, UsageFault
from sentinel.model.outcome import Ledger, Moment, Outcome, Verdict
from sentinel.model.snapshot import Reading
from sentinel.model.spec import Command, RunSpec
from sentinel.report.live import Narrator, resolved_line
from sentinel.report.text import outcome_lines
from sentinel.selection import allowance, enclose

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click

    from sentinel.commands.counting import Count
    from sentinel.enclosure import Enclosure
    from sentinel.guard.attendant import Attendant
    from sentinel.report.target import Target

_HELP = """\
Run CMD and stop it politely when its memory outgrows the limit.

Over the limit, CMD is sent a signal and has the grace, at full speed, to clean up; what is
left then is killed. Page cache is no reason to be stopped. The exit status is CMD's own, 124
when a limit ended it, 125 when Sentinel failed, 126 or 127 when CMD cannot be run.

Sizes are written like 200M, 1.5G or 50%, times like 3s, 250ms, 5m. Most options can be set
as SENTINEL_LIMIT and so on, or in $XDG_CONFIG_HOME/sentinel/config.toml.
"""


def command() -> click.Command:
    """The verb for click, made from the table of options."""
    import click
    from click.shell_completion import CompletionItem

    from sentinel.commands.group import Spelled, Tabled

    def a_file(*given: object) -> list[CompletionItem]:
        return [CompletionItem(given[-1], type="file")]

    options: list[click.Parameter] = [
        Tabled(
            [f"--{option.name}", *([f"-{option.short}"] if option.short else [])],
            metavar=option.metavar or None,
            is_flag=None if option.metavar else True,
            help=option.help,
            # After `--metrics` comes the command, not a value.
            shell_complete=a_file if option.alone else None,
        )
        for option in OPTIONS
    ]
    argv = click.Argument(
        ["argv"],
        metavar="CMD [ARG]...",
        nargs=-1,
        type=click.UNPROCESSED,
        shell_complete=a_file,
    )
    return Spelled(
        "exec",
        params=[*options, argv],
        callback=_called,
        help=_HELP,
        short_help="Run a command under a memory limit.",
        options_metavar="[OPTIONS] [--]",
        context_settings={"allow_interspersed_args": False},
    )


def _called(argv: tuple[str, ...], **params: str | bool | None) -> int:
    return execute(from_click(argv, params))


def from_click(argv: tuple[str, ...], params: dict[str, str | bool | None]) -> Given:
    """What click read. Raises UsageFault when there is no command."""
    if not argv:
        raise UsageFault("no command given", "write: sentinel exec [OPTIONS] CMD [ARG]...")
    values = {name.replace("_", "-"): text for name, text in params.items() if text is not None}
    return Given(
        {name: text for name, text in values.items() if isinstance(text, str)},
        frozenset(name for name, text in values.items() if text is True),
        tuple(os.fsencode(word) for word in argv),
    )


def execute(given: Given) -> int:
    """Guard the command to its end; the exit status. Raises SentinelError before it started.

    When Ctrl-C ended the command, a shell that waits for Sentinel must see Sentinel end by the
    same signal: only then does it give up the loop or the list that the command stands in.
    So the status is minus that signal.
    """
    quiet = is_quiet(given.flags, os.environ)
    words = gather(given.values, os.environ, map(load, locations(os.environ)))
    resolved = _resolve(given, words)
    if resolved.spec.observation.dashboard:
        from sentinel.commands.dashboarded import execute as execute_dashboarded

        return execute_dashboarded(given)
    target = _target(words["json"].text) if "json" in words else None
    count = _count(resolved.spec)
    outcome = _run(resolved, count, quiet=quiet, verbose="verbose" in given.flags)
    _tell(outcome, resolved.spec, quiet=quiet)
    if count is not None and (lost := count.ended(outcome)) and not quiet:
        say(f"{outcome.name}: {lost}")
    if target is not None:
        _deliver(target, outcome)
    return outcome.exit_status if outcome.interrupted_by is None else -outcome.interrupted_by


def _target(text: str) -> Target:
    from sentinel.report.target import open_target

    return open_target(text)


def _resolve(given: Given, words: Words) -> Resolved:
    command = Command(given.argv, _own_environment())
    return resolve(command, words, given.flags, Available(*allowance()))


def _own_environment() -> tuple[bytes, ...]:
    """The environment as it was given, byte for byte.

    Not os.environ: Python may have put an LC_CTYPE into it (PEP 538), and a dictionary has
    no place for duplicates and for entries that are no `NAME=value`.
    """
    try:
        with open("/proc/self/environ", "rb", buffering=0) as file:
            data = file.read()
    except OSError:
        return tuple(b"%b=%b" % item for item in os.environb.items())
    return tuple(data.removesuffix(b"\0").split(b"\0")) if data else ()


def _count(spec: RunSpec) -> Count | None:
    """What counts the run however short it is, if runs are counted."""
    if spec.observation.metrics is None:
        return None
    from sentinel.commands.counting import Count

    return Count(spec.command)


def _run(resolved: Resolved, count: Count | None, *, quiet: bool, verbose: bool) -> Outcome:
    """Place, start and guard the command; a run that cannot be placed has an outcome too."""
    spec, notices = resolved
    spec = spec._replace(name=free_name(spec.name))
    narrator = Narrator(verbose=verbose)

    def hear(spec: RunSpec, moment: Moment, reading: Reading | None) -> None:
        text = narrator.tell(spec, moment, reading)
        if text and not quiet:
            say(text)
        if count is not None:
            count.told(moment, enclosure.where)

    try:
        enclosure, sweeps, more = enclose(spec)
    except SentinelError as error:
        release_unused()
        return _unplaced(spec, error)
    if verbose:
        notices = (resolved_line(spec, enclosure.backend), *notices)

    def announce() -> None:
        for notice in () if quiet else (*notices, *more):
            say(notice)

    launches = [Launch(spec, enclosure, sweeps)]
    attend = _attend(spec, enclosure, count, quiet=quiet)
    try:
        (outcome,) = supervise(launches, hear, opening=announce, attend=attend)
    finally:
        release_unused()
    if outcome.verdict is not Verdict.FAILED_TO_START:
        clear_away()
    return outcome


def _attend(spec: RunSpec, enclosure: Enclosure, count: Count | None, *, quiet: bool) -> Attend:
    """Who attends the run: made, and imported, when it has gone on for a while."""

    def tell(text: str) -> None:
        if not quiet:
            say(f"{spec.name}: {text}")

    def make() -> Sequence[Attendant]:
        from sentinel.commands.attending import attendants

        found = attendants(spec, tell, enclosure.spare)
        if count is not None:
            count.attended = True
        return found

    return Attend(make)


def _unplaced(spec: RunSpec, error: SentinelError) -> Outcome:
    return Outcome(
        name=spec.name,
        backend="",
        verdict=Verdict.FAILED_TO_START,
        command_status=None,
        limits=spec.limits,
        ledger=Ledger(),
        grace=spec.stop.grace,
        failure=str(error),
        exit_status=error.exit_status,
    )


def _tell(outcome: Outcome, spec: RunSpec, *, quiet: bool) -> None:
    """Say how it ended; a command that did not start is said even quietly."""
    if quiet and outcome.verdict is not Verdict.FAILED_TO_START:
        return
    for text in outcome_lines(outcome, spec.stop):
        say(text, LAST_WORD_MS)


def _deliver(target: Target, outcome: Outcome) -> None:
    """Hand over the document. The command has ended: its exit status stands all the same."""
    from sentinel.report.document import document

    try:
        target.deliver(document(outcome))
    except SentinelError as error:
        say(str(error), LAST_WORD_MS)

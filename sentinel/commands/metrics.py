"""`sentinel metrics`: what an exporter would tell, without one."""

from __future__ import annotations

from collections.abc import Sequence

import click

from sentinel.commands.asking import EXIT_NO_RUN, complete_names
from sentinel.commands.exporter import subjects
from sentinel.model.errors import SentinelError

_HELP = """\
Print the metrics of all runs, or of the one called NAME, in Prometheus's text format.

Live runs are read now; of runs that are over, what they counted is told. With --textfile the
text becomes DIR/sentinel.prom, replaced as a whole, for node_exporter's textfile collector.
The exit status is 0, 3 when there is no run called NAME.
"""


class NoSuchRun(SentinelError):
    """Neither a live run nor one that is remembered."""

    exit_status = EXIT_NO_RUN


def command() -> click.Command:
    """The verb for click."""
    return click.Command(
        "metrics",
        params=[
            click.Argument(["name"], required=False, shell_complete=complete_names),
            click.Option(
                ["--textfile", "directory"],
                metavar="DIR",
                help="Write DIR/sentinel.prom instead of printing.",
            ),
            click.Option(
                ["--with", "wanted"],
                type=click.Choice(["open_fds", "tcp_sockets"]),
                multiple=True,
                help="Also what costs more to find out; can be given twice.",
            ),
        ],
        callback=_metrics,
        help=_HELP,
        short_help="Print the metrics of runs.",
    )


def _metrics(name: str | None, directory: str | None, wanted: Sequence[str]) -> int:
    text = _text(name, frozenset(wanted))
    if directory is None:
        click.echo(text, nl=False)
        return 0
    from sentinel.metrics.textfile import write_textfile

    write_textfile(directory, text)
    return 0


def _text(name: str | None, wanted: frozenset[str]) -> bytes:
    from sentinel.metrics.collector import text
    from sentinel.metrics.once import look_once

    found = [subject for subject in subjects() if name in (None, subject.name)]
    views = [view for view in look_once(found, wanted) if name in (None, view.name)]
    if name is not None and not views:
        raise NoSuchRun(f"no run called {name!r} is live or remembered", "see: sentinel ls")
    return text(views).body

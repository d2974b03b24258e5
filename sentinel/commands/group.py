"""The click side: help, version, every verb but a well-formed `exec`, and click's errors."""

from __future__ import annotations

import errno
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import cast

import click

from sentinel import __version__
from sentinel.commands.words import spelled_out
from sentinel.model.errors import SentinelError, UsageFault

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

_HELP = """\
Run a command under a memory limit that stops it politely.

`sentinel CMD ...` is short for `sentinel exec CMD ...`, unless CMD is called like a verb: it is
`sentinel exec kill` that runs the program kill.
"""


class Spelled(click.Command):
    """A verb with options that may stand without their value, which the next word never is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read `args`, whoever asks: a launch, the help, or Tab."""
        return super().parse_args(ctx, spelled_out(args))


class Tabled(click.Option):
    """An option of the table, whose metavar says itself how its value is joined to it."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """`--metrics[=PORT]`, as it is written."""
        record = super().get_help_record(ctx)
        return record and (record[0].replace(" [=", "[="), record[1])


class Verbs(click.Group):
    """The verbs by name; the module of a verb is imported when the verb is used."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        """`modules`: where the `command` of each verb is."""
        super().__init__(
            "sentinel", help=_HELP, context_settings={"help_option_names": ["-h", "--help"]}
        )
        self._modules = modules
        click.version_option(__version__, message="sentinel %(version)s")(self)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names for the help."""
        del ctx
        return sorted(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb; None when there is none of that name."""
        del ctx
        if cmd_name not in self._modules:
            return None
        command = import_module(self._modules[cmd_name]).command
        # `exec` makes its command when asked to: its module is loaded without click, too.
        return command if isinstance(command, click.Command) else cast("click.Command", command())


def run(words: Sequence[str], modules: Mapping[str, str]) -> int:
    """Let click read `words`; the exit status. Raises SentinelError, UsageFault among them."""
    if isinstance(sys.stdout, TextIOWrapper):
        # A name of Unicode in a locale that has no such letter is no reason to show nothing.
        sys.stdout.reconfigure(errors="backslashreplace")
    help_words = " ".join(["sentinel", *(word for word in words[:1] if word in modules), "--help"])
    try:
        status = Verbs(modules).main(list(words), "sentinel", standalone_mode=False)
    except click.exceptions.NoSuchOption as error:
        near = list(error.possibilities or ())  # the best first
        remedy = f"did you mean {near[0]}?" if near else f"see {help_words}"
        raise UsageFault(f"no such option: {error.option_name}", remedy) from None
    except click.ClickException as error:
        raise UsageFault(error.format_message().rstrip("."), f"see {help_words}") from None
    except SystemExit as end:
        status = end.code  # a verb's own; or 1, click's when the reader of stdout has gone
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise SentinelError(
            f"cannot write to standard output: {error.strerror}", "make room or redirect it"
        ) from None
    except click.Abort:
        raise KeyboardInterrupt from None
    return status if isinstance(status, int) else 0

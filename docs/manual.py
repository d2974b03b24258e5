"""The manual page, docs/sentinel.1, from the verbs that `sentinel --help` is made of (man(7)).

`make diagram` writes it, as does `python -m docs.manual`; tests/docs/ fails when it is not what
the code says.
"""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator

import click

from sentinel import __version__
from sentinel.commands.asking import EXIT_NO_RUN, EXIT_REFUSED, NOTE
from sentinel.commands.group import Verbs
from sentinel.commands.main import VERBS
from sentinel.config.options import OPTIONS
from sentinel.model.errors import (
    EXIT_LIMIT,
    EXIT_NOT_EXECUTABLE,
    EXIT_NOT_FOUND,
    EXIT_SENTINEL,
    EXIT_USAGE,
)

PATH = "docs/sentinel.1"

STATUSES = (
    ("the command's own", "exec: it ended by itself; 128+n when signal n ended it."),
    (EXIT_REFUSED, "A verb about a run: the run refused."),
    (EXIT_USAGE, "The command line, the environment or a configuration file is wrong."),
    (EXIT_NO_RUN, "A verb about a run: no such run is live."),
    (EXIT_LIMIT, "exec: a limit on memory or time was enforced, whichever step that took."),
    (EXIT_SENTINEL, "Sentinel itself failed; a verb about a run: it did not answer."),
    (EXIT_NOT_EXECUTABLE, "exec: the command was found but cannot be executed."),
    (EXIT_NOT_FOUND, "exec: the command was not found."),
)
FILES = (
    ("$XDG_CONFIG_HOME/sentinel/config.toml", "Settings of exec, by the names of its options."),
    ("/etc/sentinel/config.toml", "The same for everybody; the user's own win."),
    ("/run/user/UID/sentinel/", "What is live: an entry and a socket for each run."),
    ("/tmp/sentinel-UID/", "The same where the former does not exist."),
    ("/tmp/sentinel.socket", "The socket of the first live run, whoever's it is."),
)
RELATED = ("systemd-run(1)", "prlimit(1)", "cgroups(7)", "proc(5)")

_BETWEEN = re.compile(r"(?<=[a-z0-9)]\.) (?=[A-Z\\[])")
"""Where one sentence ends and the next one begins."""
_CODE = re.compile(r"`([^`]+)`")


def page() -> str:
    """The whole page."""
    group = Verbs(VERBS)
    context = click.Context(group, info_name="sentinel")
    commands = [
        command
        for name in group.list_commands(context)
        if (command := group.get_command(context, name)) is not None and not command.hidden
    ]
    commands.sort(key=lambda command: (command.name != "exec", command.name))
    lines = [
        '.\\" Drawn by `make diagram` from what --help is made of: change the code, not this.',
        f'.TH SENTINEL 1 "" "sentinel {__version__}" "User Commands"',
        ".SH NAME",
        "sentinel \\- " + _text("run a command under a memory limit that stops it politely"),
        ".SH SYNOPSIS",
        *_synopsis(commands, context),
        ".SH DESCRIPTION",
        *_paragraphs(group.help or ""),
    ]
    for command in commands:
        lines += _verb(command, context)
    lines += [".SH EXIT STATUS", *_list(STATUSES)]
    variables = [(one.variable, f"--{one.name}") for one in OPTIONS if one.variable]
    lines += [".SH ENVIRONMENT", *_list((name, f"Like exec {flag}.") for name, flag in variables)]
    lines += [".SH FILES", *_list(FILES)]
    lines += [".SH SEE ALSO", *map(_reference, RELATED)]
    return "\n".join(lines) + "\n"


def _synopsis(commands: Iterable[click.Command], context: click.Context) -> Iterator[str]:
    for number, command in enumerate(commands):
        inner = click.Context(command, parent=context, info_name=command.name)
        words = " ".join(command.collect_usage_pieces(inner))
        if number:
            yield ".br"
        yield f".B sentinel {_text(command.name or '')}"
        yield _text(words)


def _verb(command: click.Command, context: click.Context) -> Iterator[str]:
    """A section: what the verb does, and its options as --help shows them."""
    inner = click.Context(command, parent=context, info_name=command.name)
    yield f".SH {_text((command.name or '').upper())}"
    yield from _paragraphs((command.help or "").replace(NOTE, ""))
    records = [param.get_help_record(inner) for param in command.params]
    yield from _list(record for record in records if record is not None and record[1])


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(filter(None, text.strip().split("\n\n"))):
        if number:
            yield ".PP"
        yield _prose(" ".join(paragraph.split()))


def _list(items: Iterable[tuple[object, str]]) -> Iterator[str]:
    for term, meaning in items:
        yield ".TP"
        yield f".B {_text(str(term))}"
        yield _prose(" ".join(meaning.split()))


def _prose(text: str) -> str:
    """A paragraph; what stands between backquotes is bold."""
    parts = _CODE.split(text)
    marked = [f"\\fB{_text(part)}\\fR" if at % 2 else _text(part) for at, part in enumerate(parts)]
    return "\n".join(_sentences("".join(marked)))


def _sentences(text: str) -> Iterator[str]:
    """One input line each, as man(7) wants it; no line may look like a request."""
    for sentence in _BETWEEN.split(text):
        for line in textwrap.wrap(sentence, 78, break_long_words=False, break_on_hyphens=False):
            yield line if line[:1] not in (".", "'") else f"\\&{line}"


def _text(text: str) -> str:
    """Plain text as roff reads it: a hyphen is a minus, a backslash stands for itself."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


def _reference(name: str) -> str:
    title, _, section = name.partition("(")
    return f".BR {_text(title)} ({section}"


def main() -> int:
    """Write the page."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with open(os.path.join(root, PATH), "w", encoding="utf-8") as file:
        file.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())

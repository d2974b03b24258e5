"""Command lines that the pages show, read by the programs that they name, without a run."""

import os
import shlex

from sentinel.commands import exec as exec_verb
from sentinel.commands.main import VERBS
from sentinel.commands.words import spelled_out
from sentinel.config.resolve import Available, resolve
from sentinel.config.sources import gather
from sentinel.model.spec import Command, RunSpec
from tests import leaker

SHELL = {"|", "||", "&&", ";", ">", ">>", "<", "&", "2>", "2>&1"}


def refusal(line: str) -> str:
    """Why a program named in the shell command `line` would refuse its words; empty if none."""
    try:
        for words in _commands(line):
            _read(words)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - any refusal is what is looked for
        return f"{line!r} is refused: {error}"
    return ""


def _commands(line: str) -> list[list[str]]:
    """Cut a shell line into its commands."""
    found: list[list[str]] = [[]]
    for word in shlex.split(line, comments=True):
        if word in SHELL:
            found.append([])
        else:
            found[-1].append(word)
    return found


def _read(words: list[str]) -> None:
    """Read a command, and the command that it runs in turn."""
    names = [word if "/bin/" not in word else os.path.basename(word) for word in words]
    if "sentinel" in names:
        rest = words[names.index("sentinel") + 1 :]
        if rest and rest[0] in VERBS and rest[0] != "exec":
            return
        if rest[:1] not in (["--help"], ["--version"]):
            _read(_guarded(rest[1:] if rest[:1] == ["exec"] else rest))
    elif "tests/leaker.py" in names:
        leaker.parse(words[names.index("tests/leaker.py") + 1 :])


def _guarded(words: list[str]) -> list[str]:
    """Read the words of an exec as the real verb does, values included; the guarded command."""
    return [os.fsdecode(word) for word in spec(words).command.argv]


def spec(words: list[str]) -> RunSpec:
    """What `sentinel exec WORDS` would run on a machine with 8 GiB."""
    verb = exec_verb.command()
    context = verb.make_context("exec", spelled_out(words))
    params = dict(context.params)
    given = exec_verb.from_click(params.pop("argv"), params)
    command = Command(given.argv, ())
    return resolve(command, gather(given.values, {}), given.flags, Available(8 << 30)).spec

"""Whose word counts: option, then environment, then the user's file, then the machine's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sentinel.config.options import IN_FILES
from sentinel.model.errors import UsageFault

_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"", "0", "false", "no", "off"})


class Word(NamedTuple):
    """A setting as somebody wrote it, and how an error line names the place."""

    text: str
    origin: str


Words = dict[str, Word]
"""Settings by the option's name. What nobody asked for is absent."""


def gather(
    given: Mapping[str, str], environment: Mapping[str, str], files: Iterable[Words] = ()
) -> Words:
    """Merge the words of the command line, the environment and `files`, the weakest first.

    An empty environment variable says nothing.
    """
    words: Words = {}
    for settings in files:
        words.update(settings)
    for name, option in IN_FILES.items():
        text = environment.get(option.variable, "")
        if text:
            words[name] = Word(text, option.variable)
    words.update({name: Word(text, f"--{name}") for name, text in given.items()})
    return words


def is_quiet(flags: frozenset[str], environment: Mapping[str, str]) -> bool:
    """Whether `-q` or SENTINEL_QUIET asks for silence; `-v` outweighs the variable.

    Raises UsageFault for both options at once, or a variable that says neither yes nor no.
    """
    if {"quiet", "verbose"} <= flags:
        raise UsageFault("--quiet and --verbose contradict each other", "give one of them")
    if flags & {"quiet", "verbose"}:
        return "quiet" in flags
    text = environment.get("SENTINEL_QUIET", "")
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise UsageFault(f"SENTINEL_QUIET: {text!r} is neither yes nor no", "use 1 or 0")

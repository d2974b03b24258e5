"""The words of a command line for `exec`, read without click.

click is the CLI: it owns the help and every error. But importing it takes twice as long as
starting Python does, and a launch should not. So a command line without a mistake in it is
read here, and everything else (None) is click's; a test holds the two to the same answers.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

from sentinel.config.options import OPTIONS

_VALUED = frozenset(option.name for option in OPTIONS if option.metavar)
_ALONE = {f"--{option.name}": option.alone for option in OPTIONS if option.alone}
_FLAGS = {
    word: option.name
    for option in OPTIONS
    if not option.metavar
    for word in (f"--{option.name}", f"-{option.short}" if option.short else "")
    if word
}


class Given(NamedTuple):
    """What the command line says: options as they were written, flags, and the command."""

    values: dict[str, str]
    flags: frozenset[str]
    argv: tuple[bytes, ...]


def spelled_out(words: Sequence[str]) -> list[str]:
    """`words` with the value of each option that was given without its own: click has no such."""
    spelled = list(words)
    at = 0
    while at < len(spelled) and spelled[at].startswith("-") and spelled[at] not in ("-", "--"):
        word = spelled[at]
        if word in _ALONE:
            spelled[at] += f"={_ALONE[word]}"
        elif word.startswith("--") and word.removeprefix("--") in _VALUED:
            at += 1  # the next word is its value
        at += 1
    return spelled


def read_words(words: Sequence[str]) -> Given | None:
    """The options up to the first word that is none, and the command from there on.

    None when there is anything that click should explain.
    """
    values: dict[str, str] = {}
    flags = set()
    rest = list(reversed(words))
    while rest and rest[-1].startswith("-") and rest[-1] != "-":
        word = rest.pop()
        if word == "--":
            break
        if word in _FLAGS:
            flags.add(_FLAGS[word])
            continue
        if word in _ALONE:
            word += f"={_ALONE[word]}"
        name, has_value, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in _VALUED or not (has_value or rest):
            return None
        values[name] = value if has_value else rest.pop()
    if not rest:
        return None
    return Given(values, frozenset(flags), tuple(os.fsencode(word) for word in reversed(rest)))

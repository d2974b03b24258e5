"""Whose word counts: option, then environment, then the user's file, then the machine's."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from sentinel.config.options import IN_FILES
from sentinel.model.errors import UsageFault

_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"", "0", "false", "no", "off"})


class Word(NamedTuple):
    """A setting as somebody wrote it, and how an error line names the place."""

    text: str
    origin: str


T = TypeVar("T")
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


def read_word(words: Words, name: str, parse: Callable[[str], T], default: T) -> T:
    """Parse the word for `name`. Raises UsageFault, which says where the word stands."""
    word = words.get(name)
    if word is None:
        return default
    try:
        return parse(word.text)
    except UsageFault as fault:
        raise UsageFault(f"{word.origin}: {fault.message}", fault.remedy) from None


def is_yes(text: str) -> bool:
    """What a switch says. Raises UsageFault for what is neither yes nor no."""
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise UsageFault(f"{text!r} is neither yes nor no", "use yes or no")


def is_quiet(flags: frozenset[str], environment: Mapping[str, str]) -> bool:
    """Whether `-q` or SENTINEL_QUIET asks for silence; `-v` outweighs the variable.

    Raises UsageFault for both options at once, or a variable that says neither yes nor no.
    """
    if {"quiet", "verbose"} <= flags:
        raise UsageFault("--quiet and --verbose contradict each other", "give one of them")
    if flags & {"quiet", "verbose"}:
        return "quiet" in flags
    word = Word(environment.get("SENTINEL_QUIET", ""), "SENTINEL_QUIET")
    return read_word({"quiet": word}, "quiet", is_yes, default=False)

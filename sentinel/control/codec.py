"""The words of the control socket: one line of bytes to a question. Pure, no I/O.

A line is `VERB [ARGUMENT] [NAME] [json]` and a newline. A leading `uid=N` tells on whose behalf
one run asks another; whether that is believed is not decided here. The line is data: what an
error quotes of it is short and escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sentinel.model.errors import UsageFault
from sentinel.model.request import (
    Freeze,
    Kill,
    Reclaim,
    Request,
    SetGrace,
    SetLimit,
    Stop,
    Thaw,
)
from sentinel.model.units import SMALLEST_LIMIT, parse_duration, parse_size

LONGEST_LINE = 4096
"""Bytes, the newline included."""
LONGEST_QUOTE = 40
"""Letters of the line that an error repeats."""
MOST_TYPOS = 2
"""Letters that may be wrong in a word that is still taken for a misspelt verb."""

JSON = "json"
BEHALF = "uid="


class Verb(NamedTuple):
    """How a verb is written, and what it does."""

    words: str
    help: str


VERBS: Mapping[str, Verb] = {
    "status": Verb("[NAME]", "what the run is like now"),
    "stop": Verb("[NAME]", "begin the two-step stop, as if a limit had been crossed"),
    "kill": Verb("[NAME]", "kill everything in the run now"),
    "limit": Verb("SIZE [NAME]", "replace the soft limit, like 200M"),
    "grace": Verb("TIME [NAME]", "replace the grace, like 3s"),
    "freeze": Verb("[NAME]", "halt every process of the run where it is"),
    "thaw": Verb("[NAME]", "let a frozen run go on"),
    "reclaim": Verb("[SIZE [NAME]]", "have the kernel free what it can, or SIZE of it"),
    "tree": Verb("[NAME]", "the processes of the run and their memory"),
    "events": Verb("", "what happens from now on, a line of JSON each, until closed"),
    "metrics": Verb("[NAME]", "the run's metrics, as Prometheus reads them"),
    "ping": Verb("", "pong"),
    "help": Verb("", "this list"),
}


class Question(NamedTuple):
    """What a line asks. `request` is set for the verbs that change something.

    `name` is the run that is meant, empty for the one that is spoken to. `plain` is the line
    without `uid=N`, as it may be passed on. `behalf` is the N of `uid=N`.
    """

    verb: str
    plain: str
    json: bool = False
    name: str = ""
    request: Request | None = None
    behalf: int | None = None


class Malformed(UsageFault):
    """A line that asks nothing. `json`: the answer is wanted as JSON all the same."""

    def __init__(self, message: str, remedy: str, *, json: bool = False) -> None:
        """Keep the form of the answer beside its halves."""
        super().__init__(message, remedy)
        self.json = json


def parse_line(line: bytes) -> Question:
    """Read one line, with or without its newline. Raises Malformed."""
    text = _text(line)
    words = text.split()
    behalf = None
    if words and words[0].startswith(BEHALF):
        behalf = _behalf(words[0])
        text = text.split(None, 1)[1] if len(words) > 1 else ""
        words = words[1:]
    if not words:
        raise Malformed("the line is empty", "say help for the verbs")
    json = len(words) > 1 and words[-1] == JSON
    try:
        return _question(text, json=json)._replace(behalf=behalf)
    except Malformed:
        raise
    except UsageFault as error:
        raise Malformed(error.message, error.remedy, json=json) from error


def _text(line: bytes) -> str:
    """The line as text, without its end. Raises Malformed."""
    bare = line.removesuffix(b"\n").removesuffix(b"\r")
    if b"\0" in bare:
        raise Malformed(
            f"the line {quoted(bare)} has a NUL in it", f"write it as text{_hint(bare)}"
        )
    try:
        return bare.decode().strip()
    except UnicodeDecodeError:
        raise Malformed(
            f"the line {quoted(bare)} is not UTF-8", f"write it as text{_hint(bare)}"
        ) from None


def _hint(bare: bytes) -> str:
    """What may have been meant by a line that is no text."""
    words = bare.replace(b"\0", b" ").decode(errors="replace").split()
    near = nearest(words[0]) if words else ""
    return f", like {near}" if near else ", say help for the verbs"


def _behalf(word: str) -> int:
    number = word.removeprefix(BEHALF)
    if not (number.isascii() and number.isdigit() and len(number) <= 10):
        raise Malformed(f"{quoted(number)} is no uid", "write it like uid=1000")
    return int(number)


def _question(text: str, *, json: bool) -> Question:
    """The question of a line that has a word. Raises UsageFault."""
    if json:
        text = text[: -len(JSON)].rstrip()
    verb, _, rest = _cut(text)
    if verb not in VERBS:
        near = nearest(verb)
        remedy = f"did you mean {near}?" if near else "say help for the verbs"
        raise UsageFault(f"unknown verb {quoted(verb)}", remedy)
    request, name = _request(verb, rest)
    if name and "NAME" not in VERBS[verb].words:
        raise UsageFault(f"{verb} takes no argument, got {quoted(name)}", f"write: {verb}")
    return Question(verb, f"{text} {JSON}" if json else text, json, name, request)


def _cut(text: str) -> tuple[str, str, str]:
    """First word, what parts it from the rest, the rest."""
    word = text.split(None, 1)[0] if text else ""
    return word, " ", text[len(word) :].strip()


def _request(verb: str, rest: str) -> tuple[Request | None, str]:
    """What the verb asks to change, and the name that follows. Raises UsageFault."""
    if verb in _BARE:
        return _BARE[verb], rest
    if verb not in ("limit", "grace", "reclaim"):
        return None, rest
    word, _, name = _cut(rest)
    if verb == "reclaim":
        return Reclaim(_size(verb, word) if word else None), name
    if not word:
        raise UsageFault(f"{verb} needs an argument", f"write: {verb} {_EXAMPLES[verb]}")
    if verb == "grace":
        _refuse_long(word, "a duration")
        return SetGrace(parse_duration(word)), name
    size = _size(verb, word)
    if size < SMALLEST_LIMIT:
        raise UsageFault(f"a limit of {quoted(word)} is too small for any program", "1M is least")
    return SetLimit(size), name


_BARE: Mapping[str, Request] = {"stop": Stop(), "kill": Kill(), "freeze": Freeze(), "thaw": Thaw()}
_EXAMPLES = {"limit": "200M", "grace": "3s", "reclaim": "50M"}


def _size(verb: str, word: str) -> int:
    """Bytes. A share has no whole here: what it was of at the start may have changed since."""
    if word.endswith("%"):
        raise UsageFault(
            f"{verb} takes no percentage, got {quoted(word)}",
            f"write a size, like {verb} {_EXAMPLES[verb]}",
        )
    _refuse_long(word, "a size")
    return parse_size(word)


def _refuse_long(word: str, kind: str) -> None:
    """Raise UsageFault for what would be repeated whole by those who read it."""
    if len(word) > LONGEST_QUOTE:
        raise UsageFault(f"{quoted(word)} is not {kind}", "it is too long")


def quoted(text: str | bytes) -> str:
    """Text from outside for an error: short, in quotes, every control character escaped."""
    if isinstance(text, bytes):
        return repr(text[:LONGEST_QUOTE])[1:]
    return repr(text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "...")


_LONGEST_MISSPELT = max(map(len, VERBS)) + MOST_TYPOS


def nearest(word: str) -> str:
    """The verb that `word` is a beginning or a misspelling of; empty when there is none."""
    if not 0 < len(word) <= _LONGEST_MISSPELT:
        return ""
    word = word.lower()
    begun = [verb for verb in VERBS if verb.startswith(word)]
    if begun:
        return begun[0]
    alike = [verb for verb in VERBS if abs(len(verb) - len(word)) <= MOST_TYPOS]
    typos, verb = min((_typos(word, verb), verb) for verb in alike) if alike else (99, "")
    return verb if typos <= min(MOST_TYPOS, len(verb) // 2) else ""


def _typos(word: str, verb: str) -> int:
    """Letters to insert, remove, replace or swap with the next, to make `verb` of `word`."""
    before: list[int] = []
    row = list(range(len(verb) + 1))
    for at, letter in enumerate(word, 1):
        older, before, row = before, row, [at]
        for to, wanted in enumerate(verb, 1):
            least = min(before[to] + 1, row[-1] + 1, before[to - 1] + (letter != wanted))
            swapped = at > 1 and to > 1 and word[at - 2] == wanted and letter == verb[to - 2]
            row.append(min(least, older[to - 2] + 1) if swapped else least)
    return row[-1]

"""Runs that are over: what they counted, kept in the runtime directory from exporter to exporter.

Words (`lastword.py`) are folded into one file, in which a name has one entry, however often it
ran: counters are summed, so that they only ever grow. Two exporters of a user share the file.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from sentinel.linux.locks import try_lock
from sentinel.linux.runtime import Place, RuntimeDirectory, open_runtime_directory
from sentinel.metrics.answer import put_actions
from sentinel.metrics.catalogue import (
    KEPT_AFTER_THE_END,
    ROWS,
    VERDICTS,
    Histogram,
    Values,
    added,
    put,
)
from sentinel.metrics.lastword import SPOOL, LastWord
from sentinel.metrics.leaf import counters
from sentinel.model.status import Actions

STATE = "metrics-past.json"
MOST_NAMES = 100
"""Names remembered; those that ended longest ago are forgotten first."""
MOST_IDS = 64
"""Runs of one name that are known to be counted, against a word that is read twice."""

_LOCK = "metrics-past.lock"
_SCHEMA = 1
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
_SAME_START = 2.0
"""Seconds: two accounts of one start may differ so much, two runs of one pid never so little."""


class Past(NamedTuple):
    """All runs of one name that are over. `ids`: pid and start of each, the latest last."""

    backend: str
    command: str
    verdict: str
    ended: float
    ids: tuple[tuple[int, float], ...]
    values: Values

    def includes(self, pid: int, started: float) -> bool:
        """Whether the run of main process `pid` that began at `started` is over and counted."""
        return any(pid == of and abs(started - at) < _SAME_START for of, at in self.ids)


def parse_word(line: bytes) -> LastWord | None:
    """Read a line of a spool; None when it is none."""
    try:
        fields = ast.literal_eval(line.decode())
        word = LastWord(*fields)
        _values_of(word)
    except (ValueError, TypeError, SyntaxError, AttributeError, MemoryError, RecursionError):
        return None
    return word if word.verdict in VERDICTS and isinstance(word.name, str) else None


def _values_of(word: LastWord) -> Values:
    """The word in rows; unknown ones are left out. The kernel's own peak outweighs the guard's."""
    values: Values = {}
    for name, of in word.values.items():
        if name in KEPT_AFTER_THE_END:
            for labels, number in of.items():
                put(values, name, float(number), *labels)
    values.update(counters({str(name): str(text) for name, text in word.texts.items()}))
    put(values, "sentinel_memory_anon_peak_bytes", word.anon_peak)
    put_actions(values, Actions(word.counts, tuple(word.reactions), tuple(word.terminations)))
    for verdict in VERDICTS:
        put(values, "sentinel_runs_ended_total", float(verdict == word.verdict), verdict)
    return values


def fold(past: Mapping[str, Past], words: Sequence[LastWord]) -> dict[str, Past]:
    """`past` with `words` counted in, each once, and the oldest names forgotten."""
    folded = dict(past)
    for word in sorted(words, key=lambda word: word.ended):
        before = folded.get(word.name)
        if before is None:
            folded[word.name] = _past_of(word)
        elif not before.includes(word.pid, word.started):
            folded[word.name] = _joined(before, _past_of(word))
    latest = sorted(folded.items(), key=lambda item: item[1].ended)[-MOST_NAMES:]
    return dict(latest)


def _past_of(word: LastWord) -> Past:
    ids = ((word.pid, word.started),)
    return Past(word.backend, word.command, word.verdict, word.ended, ids, _values_of(word))


def _joined(before: Past, after: Past) -> Past:
    """Both counted; peaks, verdict and the rest are those of the run that ended last."""
    if before.ended > after.ended:  # its word took longer to get here
        before, after = after, before
    ids = (*before.ids, *after.ids)[-MOST_IDS:]
    return after._replace(ids=ids, values=added(after.values, before.values))


def format_past(past: Mapping[str, Past]) -> bytes:
    """The state file."""
    runs = {
        name: {
            **of._asdict(),
            "values": {row: list(map(list, v.items())) for row, v in of.values.items()},
        }
        for name, of in past.items()
    }
    return json.dumps({"schema": _SCHEMA, "runs": runs}, separators=(",", ":")).encode()


def parse_past(text: bytes) -> dict[str, Past]:
    """Read a state file; a broken one, or one of another version, is as good as none."""
    try:
        document = json.loads(text)
        if document["schema"] != _SCHEMA:
            return {}
        return {name: _parse_one(of) for name, of in document["runs"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _parse_one(of: Mapping[str, object]) -> Past:
    rows = cast("Mapping[str, Sequence[tuple[Sequence[str], object]]]", of["values"])
    values: Values = {}
    for row, items in rows.items():
        if row in ROWS:
            for labels, value in items:
                put(values, row, _number_or_histogram(value), *labels)
    ids = cast("Sequence[tuple[int, float]]", of["ids"])
    return Past(
        str(of["backend"]),
        str(of["command"]),
        str(of["verdict"]),
        float(cast("float", of["ended"])),
        tuple((int(pid), float(at)) for pid, at in ids),
        values,
    )


def _number_or_histogram(value: object) -> float | Histogram:
    if isinstance(value, list):
        counts, total = value
        return Histogram(tuple(map(int, counts)), float(total))
    return float(cast("float", value))


class PastRuns:
    """The state file of one user, kept up to date and read when it was changed."""

    def __init__(self, places: Sequence[Place] = ()) -> None:
        """Read below the runtime directory of `places`, at the first `read`."""
        self._places = places
        self._seen: tuple[int, int, int] | None = None
        self._past: dict[str, Past] = {}

    def read(self) -> Mapping[str, Past]:
        """What is known by now, new words folded in. Raises KernelFileError, OSError."""
        directory = open_runtime_directory(self._places)
        try:
            spools = [name for name in os.listdir(directory.fd) if name.startswith(SPOOL)]
            if spools:
                # With no room for the state it is told from memory; the words stay where they are.
                with contextlib.suppress(OSError):
                    self._fold(directory, spools)
            self._load(directory)
        finally:
            directory.close()
        return self._past

    def _load(self, directory: RuntimeDirectory) -> None:
        try:
            fd = os.open(STATE, _READ, dir_fd=directory.fd)
        except FileNotFoundError:
            return
        with open(fd, "rb") as file:
            status = os.fstat(fd)
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._past, self._seen = parse_past(file.read()), seen

    def _fold(self, directory: RuntimeDirectory, spools: Sequence[str]) -> None:
        """Fold the spools in, unless somebody else is at it."""
        lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=directory.fd)
        try:
            if not try_lock(lock):
                return
            self._load(directory)
            taken = [held for name in spools if (held := _take(directory, name)) is not None]
            try:
                words = [word for _, _, text in taken for word in _words(text)]
                self._past = fold(self._past, words)
                _replace(directory, format_past(self._past))
                # Only now: a word that is read twice is counted once, a lost one never.
                for name, _, _ in taken:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=directory.fd)
            finally:
                for _, fd, _ in taken:
                    os.close(fd)
        finally:
            os.close(lock)


def _take(directory: RuntimeDirectory, name: str) -> tuple[str, int, bytes] | None:
    """A spool's name, locked descriptor and text; None while somebody writes to it."""
    try:
        fd = os.open(name, _READ, dir_fd=directory.fd)
    except OSError:
        return None
    if not try_lock(fd):
        os.close(fd)
        return None
    text = b""
    while more := os.read(fd, 1 << 16):
        text += more
    return name, fd, text


def _words(text: bytes) -> list[LastWord]:
    return [word for line in text.splitlines() if (word := parse_word(line)) is not None]


def _replace(directory: RuntimeDirectory, text: bytes) -> None:
    draft = f"{STATE}.{os.getpid()}"
    fd = os.open(draft, _WRITE, 0o600, dir_fd=directory.fd)
    try:
        with open(fd, "wb") as file:
            file.write(text)
        os.rename(draft, STATE, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=directory.fd)
        raise

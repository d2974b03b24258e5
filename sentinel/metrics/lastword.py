"""The last word of a run: its final counters, left in the runtime directory for any exporter.

Written by the guard when its command has ended, so it costs no library, no lock that is waited
for and no process: one line appended to a file, in which the leaf's files stand as they were
read. A line is a tuple of plain values as Python writes it, read back by `ast.literal_eval`,
which runs nothing.
"""

import errno
import os
from collections.abc import Sequence
from typing import NamedTuple

from sentinel.linux.clock import wall
from sentinel.linux.locks import try_lock
from sentinel.linux.runtime import Place, RuntimeDirectory, open_runtime_directory
from sentinel.metrics.leaffiles import COUNTING, read_leaf
from sentinel.model.errors import KernelFileError, SentinelError
from sentinel.model.events import Happening
from sentinel.model.outcome import ASKED, Ledger, Outcome

SPOOL = "metrics-ended"
"""The file that most words go to; others have this with a suffix."""
LONGEST_SPOOL = 1 << 19
"""Bytes from which on whoever appends folds: about 200 short runs that no exporter saw."""

_REMEDY = "make room in that directory"
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW

LAST_MOMENTS = frozenset({Happening.EMPTIED.value, Happening.GIVE_UP_ELAPSED.value})
"""After these the enclosure is closed: the counters are read for the last time."""
_KILLED = "killed"

Plain = dict[str, dict[tuple[str, ...], float]]


class LastWord(NamedTuple):
    """A run that is over. Times in seconds since the epoch; `pid` is the main process's.

    `texts` are the leaf's files as the kernel last told them, `values` what the guard knows of
    the same rows, `counts` the actions by kind, `reactions` and `terminations` seconds, one for
    each stop.
    """

    name: str
    pid: int
    started: float
    ended: float
    backend: str
    command: str
    verdict: str
    anon_peak: int | None
    values: Plain
    counts: dict[str, int]
    reactions: tuple[float, ...]
    terminations: tuple[float, ...]
    texts: dict[str, str]


def format_word(word: LastWord) -> bytes:
    """One line. `repr` escapes line ends and what is no UTF-8."""
    return repr(tuple(word)).encode() + b"\n"


def final_texts(leaf: str) -> dict[str, str]:
    """What the leaf has counted; nothing where there is none, or where it cannot be read."""
    try:
        return (read_leaf(leaf, COUNTING) if leaf else None) or {}
    except SentinelError:
        return {}


def plain(ledger: Ledger) -> Plain:
    """What a guard knows of a run's rows when the run is over."""
    values: Plain = {}
    if ledger.peak_current is not None:
        values["sentinel_memory_peak_bytes"] = {(): ledger.peak_current}
    if ledger.high_ignored is not None:
        name = "sentinel_memory_high_ignored_total"
        values[name] = {("reclaimable",): float(ledger.high_ignored)}
    return values


def count_unattended(
    outcome: Outcome, command: str, texts: dict[str, str], places: Sequence[Place] = ()
) -> str:
    """Leave the word of a run that nobody attended, as `bequeath` does: it was too short.

    What was done to it stands in its timeline.
    """
    now = wall()
    asked = [moment.at for moment in outcome.timeline if moment.what == ASKED]
    emptied = [moment.at for moment in outcome.timeline if moment.what in LAST_MOMENTS]
    has_leaf = outcome.backend == "cgroup"
    counts = {"sigterm": len(asked), "lift": int(has_leaf and bool(asked))}
    kills = any(moment.what == _KILLED for moment in outcome.timeline)
    counts["cgroup_kill" if has_leaf else "sigkill"] = int(kills)
    reactions = [seconds for seconds in outcome.reaction if seconds is not None]
    word = LastWord(
        name=outcome.name,
        pid=os.getpid(),  # its guard's: as good as its own, by which it is told from others
        started=now,
        ended=now,
        backend=outcome.backend,
        command=command,
        verdict=outcome.verdict.value,
        anon_peak=None,
        values=plain(outcome.ledger),
        counts=counts,
        reactions=tuple(reactions[:1]),
        terminations=(emptied[-1] - asked[0],) if asked and emptied else (),
        texts=texts,
    )
    return bequeath(word, places)


def bequeath(word: LastWord, places: Sequence[Place] = ()) -> str:
    """Leave `word`, and fold when it is time; what became of it when it is lost, else nothing."""
    try:
        if hand_over(word, places):
            from sentinel.metrics.past import PastRuns

            PastRuns(places).read()
    except (SentinelError, OSError) as error:
        return f"the run's last metrics are lost: {error}"
    return ""


def hand_over(word: LastWord, places: Sequence[Place] = ()) -> bool:
    """Leave `word` where exporters look; whether the words have become too many.

    Never waits: while somebody reads the spool, the word gets a file of its own.
    Raises KernelFileError where there is no runtime directory, or no room in it.
    """
    directory = open_runtime_directory(places)
    try:
        return _append(directory, format_word(word))
    except OSError as error:
        path, number = f"{directory.path}/{SPOOL}", error.errno or errno.EIO
        raise KernelFileError("write", path, number, remedy=_REMEDY) from error
    finally:
        directory.close()


def _append(directory: RuntimeDirectory, line: bytes) -> bool:
    fd = os.open(SPOOL, _FLAGS, 0o600, dir_fd=directory.fd)
    try:
        # A reader removes the file while it has the lock: what is written then would be lost.
        if try_lock(fd) and os.fstat(fd).st_nlink:
            _write(fd, line)
            return os.fstat(fd).st_size > LONGEST_SPOOL
    finally:
        os.close(fd)
    name = os.urandom(8).hex()
    draft = f"draft-metrics-{name}"
    fd = os.open(draft, _FLAGS | os.O_EXCL, 0o600, dir_fd=directory.fd)
    try:
        _write(fd, line)
        os.rename(draft, f"{SPOOL}-{name}", src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
    except OSError:
        os.unlink(draft, dir_fd=directory.fd)
        raise
    finally:
        os.close(fd)
    return False


def _write(fd: int, line: bytes) -> None:
    """Append all of `line` or nothing: half a line would take the next one with it."""
    before = os.fstat(fd).st_size
    if os.write(fd, line) < len(line):
        os.ftruncate(fd, before)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

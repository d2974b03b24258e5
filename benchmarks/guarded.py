"""Run `sentinel exec` as its users do, and read what it says of the run."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

from benchmarks.processes import PATIENCE

SENTINEL = os.path.join(os.path.dirname(sys.executable), "sentinel")
NAME = "Sentinel"
"""How Sentinel is called as a contestant."""
FAREWELL = 20.0
"""Seconds that a command has to die of the SIGTERM that Sentinel forwards."""


class Ended(NamedTuple):
    """A finished run. `peak` is the largest resident set of any one process in it, bytes."""

    status: int
    lines: tuple[str, ...]
    document: dict[str, Any]
    peak: int

    @property
    def verdict(self) -> str:
        """Who ended the command, and why."""
        return str(self.document["verdict"])

    def at(self, what: str) -> float | None:
        """Seconds from exec to the first moment called `what`."""
        return next((m["at"] for m in self.document["timeline"] if m["what"] == what), None)

    def word(self, start: str, key: str) -> float | None:
        """The number that the command printed as `start ... key=NUMBER`."""
        return word(self.lines, start, key)


def word(lines: Sequence[str], start: str, key: str) -> float | None:
    """The number in the first line of `lines` that reads `start ... key=NUMBER`; None: no such."""
    for line in lines:
        first, *pairs = line.split()
        if first == start:
            return next(
                (float(p.partition("=")[2]) for p in pairs if p.startswith(key + "=")), None
            )
    return None


def sentinel_words(backend: str, options: Sequence[str], command: Sequence[str]) -> list[str]:
    """The command line that guards `command`."""
    return [SENTINEL, "exec", "--backend", backend, *options, "--", *command]


def run(backend: str, options: Sequence[str], command: Sequence[str]) -> Ended:
    """Guard `command` to its end."""
    with Run(backend, options, command) as guard:
        return guard.end()


class Run:
    """A `sentinel exec` that is under way; killed when the block ends before it does."""

    def __init__(
        self,
        backend: str,
        options: Sequence[str],
        command: Sequence[str],
        stdin: int = subprocess.DEVNULL,
        within: Sequence[str] = (),
    ) -> None:
        """Start it, behind the words of `within`. Its output goes to files: nobody has to read."""
        self._directory = tempfile.TemporaryDirectory(prefix="sentinel-bench-")
        self._document = os.path.join(self._directory.name, "outcome")
        options = ["--json", self._document, *options]
        words = [*within, *sentinel_words(backend, options, command)]
        with open(self._path("out"), "wb") as out, open(self._path("err"), "wb") as err:
            self.process = subprocess.Popen(words, stdin=stdin, stdout=out, stderr=err)
        self.pid = self.process.pid
        self._usage: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._usage is None:
            self._stop()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self._directory.cleanup()

    def _stop(self) -> None:
        """Ask as its user would, then leave the rest to the next start's sweep."""
        try:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(FAREWELL)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _path(self, name: str) -> str:
        return os.path.join(self._directory.name, name)

    def lines(self) -> tuple[str, ...]:
        """What the command has printed so far."""
        return read_lines(self._path("out"))

    def wait_line(self, start: str) -> None:
        """Wait until the command prints a line that begins with the word `start`."""
        await_line(self._path("out"), start)

    def wait(self) -> int:
        """Wait for the end; the exit status of Sentinel. The peak is that of the whole run."""
        if self._usage is None:
            self._usage = reap(self.process)
        return self._usage[0]

    def end(self) -> Ended:
        """Wait for the end and read everything. Raises ValueError when Sentinel failed."""
        status = self.wait()
        try:
            with open(self._document, encoding="ascii") as file:
                document = json.load(file)
        except FileNotFoundError:
            words = " ".join(read_lines(self._path("err")))
            raise ValueError(f"sentinel ended with {status} and no outcome: {words}") from None
        assert self._usage is not None
        return Ended(status, self.lines(), document, self._usage[1])


def reap(process: subprocess.Popen[Any]) -> tuple[int, int]:
    """Wait for `process`: its status, and the largest resident set among it and its children.

    wait4(2) gives the ru_maxrss of the process and all descendants that were waited for.
    Raises TimeoutError after having killed it.
    """
    fd = os.pidfd_open(process.pid)
    try:
        if not _readable(fd, PATIENCE):
            process.kill()
            process.wait()
            raise TimeoutError(f"no end within {PATIENCE:g} s: {process.args!r}")
    finally:
        os.close(fd)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss << 10


def _readable(fd: int, seconds: float) -> bool:
    return bool(select.select([fd], [], [], seconds)[0])


def read_lines(path: str) -> tuple[str, ...]:
    """The whole lines of a file that may still grow."""
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    return tuple(line for line in text[: text.rfind("\n") + 1].splitlines() if line)


def await_line(path: str, start: str) -> None:
    """Wait until `path` has a line that begins with the word `start`. Raises TimeoutError."""
    end = time.monotonic() + PATIENCE
    while not any(line.split()[0] == start for line in read_lines(path)):
        if time.monotonic() > end:
            raise TimeoutError(f"no line {start!r} within {PATIENCE:g} s: {read_lines(path)}")
        time.sleep(0.01)


@contextmanager
def preferred() -> Iterator[None]:
    """Have the scheduler run this process, which only takes the time, before all others."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -19)
        yield
    except PermissionError:
        yield
    finally:
        if os.geteuid() == 0:
            os.setpriority(os.PRIO_PROCESS, 0, before)

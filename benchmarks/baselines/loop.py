"""Run a command under the plain loop of psutil_loop.py, as a program of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import NamedTuple, Self

from benchmarks.baselines import psutil_loop
from benchmarks.guarded import await_line, read_lines, reap
from benchmarks.processes import child_of

NAME = "0.5 s psutil loop"


class Looped(NamedTuple):
    """A finished run. Bytes.

    `struck_at` is the sum that the loop saw when it struck, None when it did not; `peak` the
    largest resident set of any one process.
    """

    struck_at: int | None
    lines: tuple[str, ...]
    peak: int


class Loop:
    """The loop and its command, killed when the block ends before they do."""

    def __init__(self, limit: int, command: Sequence[str]) -> None:
        """Start guarding `command` with a limit in bytes."""
        self._directory = tempfile.TemporaryDirectory(prefix="sentinel-bench-")
        self._report = os.path.join(self._directory.name, "report")
        self._out = os.path.join(self._directory.name, "out")
        program = os.path.abspath(psutil_loop.__file__)
        words = [sys.executable, program, str(limit), "-o", self._report, "--", *command]
        with open(self._out, "wb") as out:
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out)
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.returncode is None:
            command = child_of(self.pid)
            if command is not None:
                os.kill(command, signal.SIGKILL)
            reap(self._process)  # the loop ends with its command
        self._directory.cleanup()

    def wait_line(self, start: str) -> None:
        """Wait until the command prints a line that begins with the word `start`."""
        await_line(self._out, start)

    def lines(self) -> tuple[str, ...]:
        """What the command has printed so far."""
        return read_lines(self._out)

    def end(self) -> Looped:
        """Wait for the end."""
        _, peak = reap(self._process)
        with open(self._report, encoding="ascii") as file:
            struck = json.load(file)
        return Looped(None if struck is None else struck["resident"], self.lines(), peak)


def late(phase: float, command: Sequence[str]) -> list[str]:
    """`command`, begun `phase` (0 to 1) of the loop's interval late.

    So that no round's timing happens to suit the loop, or to be its worst.
    """
    seconds = f"{phase * psutil_loop.INTERVAL:.3f}"
    return ["sh", "-c", 'sleep "$0"; exec "$@"', seconds, *command]


def run(limit: int, command: Sequence[str]) -> Looped:
    """Guard `command` to its end."""
    with Loop(limit, command) as loop:
        return loop.end()

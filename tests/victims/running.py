"""Start a victim, read its lines with a deadline, and never leave it behind."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

PATIENCE_SECONDS = 120.0
"""For what should happen at once: only a hang takes so long, however busy the machine is."""


class Victim:
    """A running victim and the lines that it printed so far."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._rest = b""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def wait_start(self, start: str, patience: float = PATIENCE_SECONDS) -> str:
        """The first line that starts with `start`.

        :raises AssertionError: it ended or was silent for `patience` seconds instead.
        """
        limit = time.monotonic() + patience
        while True:
            for line in self.lines:
                if line.startswith(start):
                    return line
            if not self.read(limit - time.monotonic()):
                raise AssertionError(f"no line {start!r}, only {self.lines}")

    def wait_line(self, word: str, patience: float = PATIENCE_SECONDS) -> dict[str, str]:
        """The key=value words of the first line `word key=value ...`; raises as wait_start."""
        _, *words = self.wait_start(word + " ", patience).split()
        return dict(pair.split("=", 1) for pair in words)

    def wait_end(self, patience: float = PATIENCE_SECONDS) -> int:
        """Its exit status (negative: the signal), all lines read."""
        limit = time.monotonic() + patience
        status = self.process.wait(timeout=patience)
        # A child left behind holds the pipe open: read what is there, not to the end.
        while self.read(min(0.0, limit - time.monotonic())):
            pass
        return status

    def read(self, patience: float) -> bool:
        """Take what it prints within `patience` seconds; False when that was nothing."""
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(max(0.0, patience)):
                return False
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        *whole, self._rest = (self._rest + data).split(b"\n")
        self.lines += [line.decode() for line in whole if line]
        return bool(data)


@contextmanager
def running(argv: Sequence[str | bytes], env: Mapping[str, str] | None = None) -> Iterator[Victim]:
    """Run `argv` as a victim; whatever is left of the main process is killed at the end."""
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, env=env)
    try:
        yield Victim(process)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def wait_until(
    what: str, condition: Callable[[], object], patience: float = PATIENCE_SECONDS
) -> None:
    """Ask `condition()` every few milliseconds until it is true.

    :raises AssertionError: it was not within `patience` seconds; says `what` was waited for.
    """
    limit = time.monotonic() + patience
    while not condition():
        if time.monotonic() >= limit:
            raise AssertionError(f"waited {patience} s for {what}")
        time.sleep(0.005)

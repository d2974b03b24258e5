"""The real `sentinel` in a place of its own: `python -m tests.cli.private DIRECTORY WORD...`.

Its well-known socket is DIRECTORY/common.socket and its runtime directory is below DIRECTORY,
so that no test sees, or is seen by, the runs of this machine.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from sentinel.linux import runtime
from tests.lab import ROOT
from tests.victims.running import wait_until

LIMIT = 90.0
"""Seconds after which a test gives up."""


def main(directory: str, *words: str) -> NoReturn:
    """Become the private sentinel."""
    place = runtime.Place(directory, "runtime", private=True)
    runtime.places = lambda uid=None: (place,)  # noqa: ARG005 - called by its name
    from sentinel.control import server

    path = os.path.join(directory, "common.socket")
    original = server.Settings
    server.Settings = lambda observation: original(observation, path)  # type: ignore[assignment, misc]
    from sentinel.commands.main import main as sentinel

    sys.argv = ["sentinel", *words]
    sentinel()


class Guarded:
    """A run of the private sentinel."""

    def __init__(self, directory: str, process: subprocess.Popen[bytes]) -> None:
        self.directory = directory
        self.process = process
        self.common = os.path.join(directory, "common.socket")

    def own(self, name: str) -> str:
        """The socket of the run called `name`."""
        return os.path.join(self.directory, "runtime", f"{name}.{self.process.pid}.sock")

    def wait(self) -> tuple[int, str]:
        """Exit status and standard error, once it has ended."""
        _, error = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, error.decode()


@contextmanager
def guarded(
    directory: str, *options: str, command: Sequence[str], sign: str = "common.socket"
) -> Iterator[Guarded]:
    """Run `sentinel exec OPTIONS -- COMMAND`; begins when `sign` is there, below DIRECTORY."""
    words = ["exec", *options, "--", *command]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cli.private", directory, *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    run = Guarded(directory, process)
    try:
        wait_until(
            sign,
            lambda: _is_there(os.path.join(directory, sign)) or process.poll() is not None,
            LIMIT,
        )
        yield run
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def _is_there(path: str) -> bool:
    """Whether there is a socket, or a file with something in it."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISSOCK(status.st_mode) or status.st_size > 0


if __name__ == "__main__":
    main(*sys.argv[1:])

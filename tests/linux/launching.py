"""Start the launcher with exact bytes and an exact signal state, and read what it tells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tests.lab import ROOT

LAUNCHER = os.path.join(ROOT, "tests", "linux", "launcher.py")
SECONDS = 120
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ROOT, "PYTHONDONTWRITEBYTECODE": "1"}


class Told(NamedTuple):
    """What the launcher said, line by line, and what the command wrote to standard output."""

    lines: list[dict[str, Any]]
    output: bytes


class Launched:
    """A running launcher."""

    def __init__(
        self,
        argv: Sequence[bytes],
        environment: Sequence[bytes] = (),
        *,
        launcher_env: dict[str, str] | None = None,
        prepare: Callable[[], None] | None = None,
        inherit: Sequence[int] = (),
        **order: object,
    ) -> None:
        self._reading, writing = os.pipe()
        text = json.dumps(
            {
                "argv": [word.hex() for word in argv],
                "environment": [word.hex() for word in environment],
                "report": writing,
                **order,
            }
        )
        self.process = subprocess.Popen(
            [sys.executable, LAUNCHER, text],
            stdout=subprocess.PIPE,
            env=ENVIRONMENT if launcher_env is None else launcher_env,
            pass_fds=[writing, *inherit],
            preexec_fn=prepare,  # noqa: PLW1509 - this process has one thread
        )
        os.close(writing)
        self._lines = os.fdopen(self._reading, "rb")

    def line(self) -> dict[str, Any]:
        """The next line that the launcher says."""
        told: dict[str, Any] = json.loads(self._lines.readline())
        return told

    def end(self) -> Told:
        """Wait for the launcher; everything that it and its command said."""
        output, _ = self.process.communicate(timeout=SECONDS)
        told = [json.loads(line) for line in self._lines]
        self.close()
        return Told(told, output)

    def close(self) -> None:
        """End the launcher if it still runs."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._lines.close()


def launch(argv: Sequence[bytes], environment: Sequence[bytes] = (), **how: Any) -> Told:
    """Run `argv` through the launcher to its end."""
    return Launched(argv, environment, **how).end()

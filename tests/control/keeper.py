"""A guard of its own process: `python -m tests.control.keeper DIR NAME [COMMON [UID]]`.

Prints `ready`, then what it hears. Ends when its standard input does, or when asked to stop.
"""

from __future__ import annotations

import os
import sys

import sentinel.control.entry
import sentinel.control.registry
from tests.control.stage import Stage

LATE = (sentinel.control.entry, sentinel.control.registry)
"""What a server imports late: another user may not be allowed to read it any more."""


class Keeper(Stage):
    """Turns until it is told to end."""

    def hear(self, text: str) -> None:
        """Tell the test."""
        print(f"heard {text}", flush=True)


def main(directory: str, name: str, common: str = "", uid: str = "") -> None:
    """Serve one run called `name`, as user `uid`."""
    if uid:
        assert all(LATE)
        os.setresuid(int(uid), int(uid), int(uid))
    with Keeper(directory, name, common=common) as stage:
        stage.loop.watch(sys.stdin.fileno(), "end")
        print("ready", flush=True)
        while not stage.run.requests:
            if "end" in stage.turn(3600.0):
                return


if __name__ == "__main__":
    main(*sys.argv[1:])

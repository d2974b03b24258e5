"""A live run as whoever collects knows it, before anything of it is read."""

from __future__ import annotations

import os
from typing import NamedTuple


class Subject(NamedTuple):
    """What the registry tells of one run; the fields that are read here, under its names.

    `pid` is the guard's and `main` the command's, both in `pid_namespace` (an inode; None:
    unknown). `socket` and `leaf` are paths, empty when there is none. `soft` and `hard` are
    bytes, `started` seconds since the epoch.
    """

    name: str
    pid: int
    main: int
    started: float
    pid_namespace: int | None
    socket: str
    backend: str
    soft: int
    hard: int | None
    leaf: str
    command: str

    @property
    def key(self) -> tuple[str, int, float]:
        """What tells this run from every other, of the same name too."""
        return self.name, self.main, self.started


def own_pid_namespace() -> int | None:
    """The pid namespace in which this process's numbers mean anything; None: unknown."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return None

"""What one process has, for a list of many: /proc/PID/stat (proc(5))."""

from __future__ import annotations

import os
from typing import NamedTuple

from sentinel.linux.process import read_stat, split_stat

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Resident(NamedTuple):
    """A process: `state` is its letter, `rss` the bytes it has in memory, shared ones included."""

    pid: int
    parent: int
    name: str
    state: str
    rss: int
    threads: int


def parse_resident(text: bytes) -> Resident:
    """Read one line of /proc/PID/stat."""
    pid, name, fields = split_stat(text)
    return Resident(
        pid=pid,
        parent=int(fields[1]),
        name=name,
        state=fields[0].decode(),
        rss=int(fields[21]) * _PAGE,
        threads=int(fields[17]),
    )


def resident(pid: int) -> Resident | None:
    """Process `pid`; None when there is none."""
    text = read_stat(pid)
    return None if text is None else parse_resident(text)

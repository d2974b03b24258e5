"""What one process has, for a list of many: /proc/PID/stat (proc(5))."""

from __future__ import annotations

import os
from typing import NamedTuple

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
    """Read one line of /proc/PID/stat. The name may hold spaces, parentheses and odd bytes."""
    opening, closing = text.index(b"("), text.rindex(b")")
    fields = text[closing + 2 :].split()
    name = text[opening + 1 : closing].decode(errors="backslashreplace")
    return Resident(
        pid=int(text[:opening]),
        parent=int(fields[1]),
        name=name,
        state=fields[0].decode(),
        rss=int(fields[21]) * _PAGE,
        threads=int(fields[17]),
    )


def resident(pid: int) -> Resident | None:
    """Process `pid`; None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return parse_resident(file.read())
    except (FileNotFoundError, ProcessLookupError):
        return None

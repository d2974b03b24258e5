"""Processes as /proc shows them, for the tests: states, parents, sessions, pending signals."""

from __future__ import annotations

import os
import signal
from typing import NamedTuple


class Status(NamedTuple):
    """A process as /proc/PID/stat tells it (proc(5))."""

    pid: int
    state: str
    parent: int
    group: int
    session: int


def status(pid: int) -> Status | None:
    """The state of `pid`; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Status(pid, fields[0], *map(int, fields[1:4]))


def state(pid: int) -> str:
    """The letter that ps shows for `pid`: T is stopped; empty when it is gone."""
    found = status(pid)
    return "" if found is None else found.state


def parent(pid: int) -> int:
    """The pid of the parent of `pid`."""
    found = status(pid)
    assert found is not None, f"{pid} is gone"
    return found.parent


def children(pid: int) -> list[int]:
    """The children of `pid`, oldest first."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def pending(pid: int) -> set[int]:
    """The signals that `pid` was sent and has not taken yet."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        words = dict(line.split(":\t") for line in file.read().splitlines())
    mask = int(words["ShdPnd"], 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def members(session: int) -> list[int]:
    """The processes of a session, zombies not counted."""
    found = [status(int(name)) for name in os.listdir("/proc") if name.isdigit()]
    return [one.pid for one in found if one and one.session == session and one.state not in "ZX"]


def end(pid: int) -> None:
    """Kill `pid` if it is still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return

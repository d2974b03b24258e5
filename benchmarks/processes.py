"""What /proc tells about a process: its CPU, its switches, its memory (proc(5))."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 180.0
"""Seconds; an emulated CPU is 16 times slower than a real one."""


def cpu_seconds(pid: int) -> float:
    """Seconds on a CPU of all living threads of `pid`.

    From schedstat, in nanoseconds; not to be had on every kernel (Site.counts_cpu).
    """
    nanoseconds = sum(
        int(_read(f"/proc/{pid}/task/{thread}/schedstat").split()[0])
        for thread in os.listdir(f"/proc/{pid}/task")
    )
    return nanoseconds / 1e9


def switches(pid: int) -> int:
    """Voluntary and involuntary context switches of all living threads of `pid`."""
    return sum(
        int(line.split()[1])
        for thread in os.listdir(f"/proc/{pid}/task")
        for line in _read(f"/proc/{pid}/task/{thread}/status").splitlines()
        if "ctxt_switches" in line
    )


def memory(pid: int) -> tuple[int, int]:
    """PSS and RSS of `pid`, bytes."""
    lines = _read(f"/proc/{pid}/smaps_rollup").splitlines()[1:]
    sizes = {key: int(value.split()[0]) << 10 for key, _, value in map(_parts, lines)}
    return sizes["Pss"], sizes["Rss"]


def _parts(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def child_of(pid: int) -> int | None:
    """A child of `pid`, None while it has none. By search: not every kernel lists children."""
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = _read(f"/proc/{entry}/stat")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(stat.rpartition(")")[2].split()[1]) == pid:
            return int(entry)
    return None


def settle(pid: int, quiet: float = 1.0) -> None:
    """Wait until `pid` has not been switched for `quiet` seconds."""
    end = time.monotonic() + PATIENCE
    before, since = switches(pid), time.monotonic()
    while time.monotonic() - since < quiet:
        if time.monotonic() > end:
            raise TimeoutError(f"{pid} is never quiet for {quiet} s")
        time.sleep(0.1)
        now = switches(pid)
        if now != before:
            before, since = now, time.monotonic()


def wait_for(condition: Callable[[], T | None], what: str) -> T:
    """Ask every few milliseconds until there is an answer. Raises TimeoutError, naming `what`."""
    end = time.monotonic() + PATIENCE
    while (found := condition()) is None:
        if time.monotonic() > end:
            raise TimeoutError(f"waited {PATIENCE:g} s for {what}")
        time.sleep(0.005)
    return found


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()

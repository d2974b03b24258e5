"""What is written down of a live run for those who look for it: lines of `key=value`.

The guard writes it right after the command has started, so it needs no more than str and bytes.
A value is data: its backslashes and line ends are escaped, bytes that are no UTF-8 survive.
"""

from __future__ import annotations

import os
from typing import NamedTuple

FORMAT = b"sentinel-run-1"
PATHS = frozenset({"socket", "leaf"})
_END = b"end"
_NEVER = 1e15
"""Seconds since the epoch that no clock shows."""


class Entry(NamedTuple):
    """One run. Sizes in bytes, `started` in seconds since the epoch.

    `pid` is the guard's and `main` the command's, both numbers of `pid_namespace` (the inode of
    /proc/self/ns/pid; None: unknown) in the boot `boot_id`. `socket` and `leaf` are paths, empty
    when there is none; `hard` is None without a hard limit; `command` is what runs, its basename.
    """

    name: str
    pid: int
    main: int
    uid: int
    started: float
    boot_id: str
    pid_namespace: int | None
    socket: str
    backend: str
    soft: int
    hard: int | None
    leaf: str
    command: str


def format_entry(entry: Entry) -> bytes:
    """The bytes of an entry."""
    lines = [FORMAT]
    for key, value in zip(Entry._fields, entry, strict=True):
        text = "" if value is None else str(value)
        data = os.fsencode(text) if key in PATHS else text.encode("utf-8", "surrogateescape")
        lines.append(key.encode() + b"=" + _escaped(data))
    return b"\n".join([*lines, _END, b""])


def parse_entry(text: bytes) -> Entry | None:
    """Read an entry; None when it is none, or not whole. Keys of a later version are passed over.

    What stands in it was written by its run's user: nothing here is known to be true.
    """
    first, *lines = text.split(b"\n")
    if first != FORMAT or lines[-2:] != [_END, b""]:
        return None
    found = {}
    for line in lines[:-2]:
        key, _, value = line.partition(b"=")
        found[key.decode(errors="replace")] = _plain(value)
    try:
        return Entry(
            name=found["name"],
            pid=int(found["pid"]),
            main=int(found["main"]),
            uid=int(found["uid"]),
            started=_moment(found["started"]),
            boot_id=found["boot_id"],
            pid_namespace=_number(found["pid_namespace"]),
            socket=_path(found["socket"]),
            backend=found["backend"],
            soft=int(found["soft"]),
            hard=_number(found["hard"]),
            leaf=_path(found["leaf"]),
            command=found["command"],
        )
    except (KeyError, ValueError):
        return None


def _moment(text: str) -> float:
    """Seconds. Raises ValueError, also for what is a float and no moment: nan sorts nowhere."""
    moment = float(text)
    if not 0.0 <= moment < _NEVER:
        raise ValueError(text)
    return moment


def _number(text: str) -> int | None:
    return int(text) if text else None


def _path(text: str) -> str:
    """A path as this process must write it to mean the same bytes: its locale may be another."""
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def _escaped(data: bytes) -> bytes:
    return data.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")


def _plain(data: bytes) -> str:
    # An escaped text holds backslashes in pairs or before an n: what is split is the pairs.
    parts = [part.replace(b"\\n", b"\n") for part in data.split(b"\\\\")]
    return b"\\".join(parts).decode("utf-8", "surrogateescape")

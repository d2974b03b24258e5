"""The run behind a dashboard of one command; on Ctrl-Z it is frozen until the shell's fg or bg."""

from __future__ import annotations

from collections.abc import Callable

from sentinel.control.entry import Entry
from sentinel.control.registry import live, whereabouts
from sentinel.dashboard import decode
from sentinel.dashboard.asker import Address, ask_now

PATIENCE = 2.0
"""Seconds that the run may take to answer; Ctrl-Z suspends the dashboard in any case."""


def runs_of(guard: int) -> list[Entry]:
    """The run that process `guard` guards, as soon as it is among the live ones."""
    here = whereabouts()
    return [
        entry
        for entry in live()
        if entry.pid == guard and (entry.boot_id, entry.pid_namespace) == here
    ]


def freeze(guard: int) -> Callable[[], None]:
    """Freeze the run guarded by process `guard`; call what is returned to let it go on.

    A run that was frozen before stays so. One without a socket runs on, until its output
    has filled the terminal's buffer.
    """
    entry = next(iter(runs_of(guard)), None)
    if entry is None or not entry.socket:
        return _nothing
    address = Address(entry.socket, entry.uid)
    status = decode.status(decode.table(ask_now(address, "status json", PATIENCE)))
    if status is None or status.frozen:
        return _nothing
    ask_now(address, "freeze", PATIENCE)

    def thaw() -> None:
        ask_now(address, "thaw", PATIENCE)

    return thaw


def _nothing() -> None:
    return

"""Which runs are live: one file each in the runtime directory, locked while its guard lives.

Whether a run lives is told by the lock of its file, never by a pid. Files and sockets of the
dead are removed by `sweep`, of which only one is at work in a directory at a time: so no file
can be taken for another of the same name between a look and its removal.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence

from sentinel.control.claims import (
    DRAFT,
    HEAD,
    SOCKET,
    TAIL,
    Registration,
    entry_file,
    free_name,
    register,
    release_unused,
    whereabouts,
)
from sentinel.control.entry import Entry, parse_entry
from sentinel.control.liveness import (
    is_held,
    keep_from_starting,
    open_file,
    wait_released,
)
from sentinel.control.neighbours import Directory, everybody, own
from sentinel.linux.locks import try_lock
from sentinel.linux.runtime import Place

__all__ = [
    "Entry",
    "Registration",
    "find",
    "free_name",
    "live",
    "live_of_everybody",
    "register",
    "release_unused",
    "sweep",
    "wait_over",
    "whereabouts",
]

_LARGEST = 1 << 16
_ATTEMPTS = 10


def live(places: Sequence[Place] = (), uid: int | None = None) -> list[Entry]:
    """The live runs of `uid` (default: the effective user), the oldest first.

    What stands in an entry was written by its user: escape it before it is shown. Its `uid`
    is that of the directory, whatever it says itself.
    """
    if uid is None or uid == os.geteuid():
        return _live_in(own(places))
    directories = everybody()
    for other in directories:
        if other.uid != uid:
            other.close()
    return _live_in([directory for directory in directories if directory.uid == uid])


def live_of_everybody() -> list[Entry]:
    """The live runs of all users that this one can see: all of them, for root."""
    return _live_in(everybody())


def find(name: str, places: Sequence[Place] = (), uid: int | None = None) -> Entry | None:
    """The live run called `name`; None when there is none."""
    return next((entry for entry in live(places, uid) if entry.name == name), None)


def wait_over(entry: Entry, places: Sequence[Place] = ()) -> None:
    """Sleep until the run of `entry` is over: its guard has gone, however it went."""
    directories = own(places) if entry.uid == os.geteuid() else everybody()
    try:
        for directory in directories:
            while directory.uid == entry.uid and (fd := _open_live(directory, entry)) is not None:
                try:
                    wait_released(fd)
                finally:
                    os.close(fd)
    finally:
        for directory in directories:
            directory.close()


def sweep(places: Sequence[Place] = ()) -> None:
    """Remove entries and sockets that the dead left in one's own directories.

    What a living guard holds is never touched. Nothing is raised for what cannot be removed.
    """
    for directory in own(places):
        try:
            if try_lock(directory.fd):
                _sweep(directory)
        except OSError:
            continue
        finally:
            directory.close()


def _live_in(directories: Iterable[Directory]) -> list[Entry]:
    """The live runs of `directories`, which are closed."""
    found = []
    for directory in directories:
        try:
            found += [entry for _, entry in _entries(directory) if entry is not None]
        finally:
            directory.close()
    return sorted(found, key=lambda entry: entry.started)


def _entries(directory: Directory) -> Iterator[tuple[bytes, Entry | None]]:
    """The files of living guards and what they say; None while the run is only starting."""
    for name in os.listdir(directory.fd):
        if name.startswith(HEAD) and name.endswith(TAIL):
            file = os.fsencode(name)
            text = _read_live(directory, file)
            if text is not None:
                entry = parse_entry(text)
                yield file, None if entry is None else entry._replace(uid=directory.uid)


def _read_live(directory: Directory, file: bytes) -> bytes | None:
    """What the living guard of `file` wrote; None when it has none."""
    for _ in range(_ATTEMPTS):
        fd = open_file(file, directory.fd, directory.uid)
        if fd is None:
            return None
        try:
            held = is_held(fd)
            text = os.read(fd, _LARGEST) if held else b""
            if os.fstat(fd).st_nlink:  # else it was replaced meanwhile, or has just ended
                return text if held else None
        finally:
            os.close(fd)
    return None


def _open_live(directory: Directory, wanted: Entry) -> int | None:
    """The open file of the very run that `wanted` is about, whatever was changed since."""
    for file, entry in _entries(directory):
        if entry is not None and _identity(entry) == _identity(wanted):
            return open_file(file, directory.fd, directory.uid)
    return None


def _identity(entry: Entry) -> tuple[object, ...]:
    return entry.name, entry.boot_id, entry.pid_namespace, entry.pid, entry.started


def _sweep(directory: Directory) -> None:
    """Remove what the dead left in `directory`, whose lock we have."""
    names = os.listdir(directory.fd)
    for name in names:
        if name.startswith((HEAD, DRAFT)):
            _remove_dead(directory, os.fsencode(name))
    sockets = [name for name in names if name.endswith(SOCKET)]
    if sockets:
        living = dict(_entries(directory))
        for name in sockets:
            if not _is_spoken_for(name, living):
                _remove_deaf(directory, name)


def _remove_dead(directory: Directory, file: bytes) -> None:
    fd = open_file(file, directory.fd, directory.uid)
    if fd is None:
        return
    try:
        # No guard can take the file while we have it, so the name is still that of this file.
        if keep_from_starting(fd) and os.fstat(fd).st_nlink:
            with contextlib.suppress(OSError):
                os.unlink(file, dir_fd=directory.fd)
    finally:
        os.close(fd)


def _is_spoken_for(socket: str, living: dict[bytes, Entry | None]) -> bool:
    """Whether the socket `NAME.PID.sock` is, or may yet become, that of a living run."""
    names = {os.path.basename(entry.socket) for entry in living.values() if entry is not None}
    if socket in names:
        return True
    file = entry_file(socket.rsplit(".", 2)[0])
    if file not in living:
        return False
    entry = living[file]
    return entry is None or not entry.socket


def _remove_deaf(directory: Directory, name: str) -> None:
    """Remove a socket of ours that refuses: nobody listens there any more (connect(2))."""
    import socket
    import stat

    status = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
    if not stat.S_ISSOCK(status.st_mode) or status.st_uid != directory.uid:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            # By the descriptor: a path may be longer than an address may be.
            probe.connect(f"/proc/self/fd/{directory.fd}/{name}")
        except ConnectionRefusedError:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=directory.fd)
        except OSError:
            return

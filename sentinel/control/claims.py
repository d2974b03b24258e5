"""Names of live runs, taken and written down: the half of the registry that a guard uses.

A run's file is `run-NAME.entry`; whoever has its lock has the name. `free_name` takes it before
the command starts, `register` fills it in, and the end of the guard, by SIGKILL too, frees it.
What is imported here delays the command; what an entry looks like is imported once it runs.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sentinel.control.liveness import hold, is_live
from sentinel.linux.runtime import (
    Place,
    RuntimeDirectory,
    existing_runtime_directories,
    open_runtime_directory,
)
from sentinel.linux.runtime import places as user_places
from sentinel.model.errors import KernelFileError

if TYPE_CHECKING:
    from sentinel.control.entry import Entry

HEAD, TAIL = "run-", ".entry"
"""How the name of an entry's file begins and ends."""

SOCKET = ".sock"
"""How a run's socket ends: NAME.PID.sock."""

LONGEST_NAME = 64
"""Bytes of UTF-8, a suffix included: a socket's path holds 107 (unix(7))."""

DRAFT = ".run-"
"""How a file begins that is about to take the place of an entry."""

_WRITING = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


_Claim = tuple[RuntimeDirectory, bytes, int]
"""A name that is ours: where its file is, the file's name, and its descriptor, which is locked."""

_claims: dict[tuple[str, bytes], _Claim] = {}
"""Names taken by this process whose run is not registered yet. Of the process, as its locks are."""


class Registration:
    """A run that is written down."""

    def __init__(self, claim: _Claim) -> None:
        """Made by `register`."""
        self._claim = claim

    def update(self, entry: Entry) -> None:
        """Replace what is written down, whole. Raises KernelFileError; the old entry stands then.

        The new file is locked before it takes the old one's place, so nobody sees the run dead.
        """
        from sentinel.control.entry import format_entry

        directory, file, old = self._claim
        draft, fd = b"", None
        try:
            while fd is None:
                draft = DRAFT.encode() + os.urandom(8).hex().encode()
                fd = _locked(directory.fd, draft)
            os.write(fd, format_entry(entry))
            os.rename(draft, file, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
        except OSError as error:
            if fd is not None:
                _discard(directory.fd, draft, fd)
            raise _fault("replace", directory, file, error) from error
        self._claim = (directory, file, fd)
        os.close(old)

    def close(self) -> None:
        """Remove the entry: the run is over, and its name free."""
        directory, file, fd = self._claim
        _discard(directory.fd, file, fd)
        directory.close()


def entry_file(name: str) -> bytes:
    """The file of the run called `name`."""
    plain = name.replace("%", "%25").replace("/", "%2f")
    return f"{HEAD}{plain}{TAIL}".encode("utf-8", "surrogateescape")


def free_name(wanted: str, places: Sequence[Place] = ()) -> str:
    """`wanted`, or `wanted-2`, `-3`... while live runs of this user have it; nobody else gets it.

    It is this process's until it ends, or until its Registration is closed. Without a usable
    directory nobody can be found by name, and any will do: `wanted`.
    """
    try:
        directory = open_runtime_directory(places)
    except KernelFileError:
        return wanted
    others = [place for place in places or user_places() if place.path != directory.path]
    elsewhere = existing_runtime_directories(others) if others else []
    number, name, fd = 1, wanted, None
    try:
        while fd is None:
            file = entry_file(name)
            taken = (directory.path, file) in _claims
            if not taken and not any(is_live(file, other.fd) for other in elsewhere):
                fd = _locked(directory.fd, file)
            if fd is None:
                number += 1
                name = _suffixed(wanted, number)
    except OSError:
        directory.close()
        return name
    finally:
        for other in elsewhere:
            other.close()
    _claims[directory.path, file] = (directory, file, fd)
    return name


def register(entry: Entry, places: Sequence[Place] = ()) -> Registration:
    """Write `entry` down for as long as this process lives. Raises KernelFileError."""
    from sentinel.control.entry import format_entry

    directory = open_runtime_directory(places)
    file = entry_file(entry.name)
    claim = _claims.pop((directory.path, file), None)
    if claim is not None:
        directory.close()
        directory = claim[0]
    try:
        fd = claim[2] if claim is not None else _locked(directory.fd, file)
        while fd is None:  # the name was not ours to give: two will have it
            file = entry_file(f"{entry.name}~{os.urandom(8).hex()}")
            fd = _locked(directory.fd, file)
    except OSError as error:
        directory.close()
        raise _fault("make", directory, file, error) from error
    try:
        os.write(fd, format_entry(entry))
    except OSError as error:
        Registration((directory, file, fd)).close()
        raise _fault("write", directory, file, error) from error
    return Registration((directory, file, fd))


def release_unused() -> None:
    """Give back the names of runs that were not registered: they did not start."""
    while _claims:
        _, (directory, file, fd) = _claims.popitem()
        _discard(directory.fd, file, fd)
        directory.close()


def clear_away(places: Sequence[Place] = ()) -> None:
    """Remove what dead runs left, if they left anything: for a run that nobody attended.

    Nothing is raised for what cannot be looked at or removed.
    """
    with contextlib.suppress(OSError):
        if _remains(places):
            from sentinel.control.registry import sweep

            sweep(places)


def _remains(places: Sequence[Place]) -> bool:
    """Whether there is an entry, or a socket, of this user's whose guard is dead."""
    for directory in existing_runtime_directories(places):
        try:
            for name in os.listdir(directory.fd):
                file = b""
                if name.startswith(HEAD) and name.endswith(TAIL):
                    file = os.fsencode(name)
                elif name.endswith(SOCKET):
                    file = entry_file(name.rsplit(".", 2)[0])
                if file and not is_live(file, directory.fd):
                    return True
        finally:
            directory.close()
    return False


def whereabouts() -> tuple[str, int | None]:
    """Boot id and pid namespace of this process, where its pids mean something.

    Empty and None when /proc does not tell (proc(5)).
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            return file.read().strip(), os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return "", None


def _suffixed(wanted: str, number: int) -> str:
    suffix = f"-{number}"
    room = LONGEST_NAME - len(suffix)
    return wanted.encode("utf-8", "surrogateescape")[:room].decode(errors="ignore") + suffix


def _locked(directory: int, file: bytes) -> int | None:
    """The file, empty, with its lock; None when a guard has it. Raises OSError."""
    while True:
        fd = os.open(file, _WRITING, 0o600, dir_fd=directory)
        try:
            if not hold(fd):
                os.close(fd)
                return None
            status = os.fstat(fd)
            if status.st_nlink:  # else it was swept before it was locked
                if status.st_mode & 0o777 != 0o600:
                    os.fchmod(fd, 0o600)  # whatever the umask left of it
                if status.st_size:
                    os.ftruncate(fd, 0)
                return fd
        except OSError:
            os.close(fd)
            raise
        os.close(fd)


def _discard(directory: int, file: bytes, fd: int) -> None:
    """Remove a file that is ours, then let go of its lock."""
    with contextlib.suppress(OSError):
        os.unlink(file, dir_fd=directory)
    os.close(fd)


def _fault(op: str, directory: RuntimeDirectory, file: bytes, error: OSError) -> KernelFileError:
    path = os.path.join(directory.path, os.fsdecode(file))
    return KernelFileError(op, path, error.errno or 0)

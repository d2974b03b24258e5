"""Who is in a run, written down for the case that its guard is SIGKILLed.

One file per run in the runtime directory, locked for as long as the guard lives: that lock is
the run's liveness, never a pid. The file names the boot and the pid namespace in which its
numbers mean anything, then the family, one fixed-width line each, so that a rewrite in place
(which keeps the inode, and with it the lock) that is cut short leaves whole lines. A stale line
does no harm: nothing is signalled that did not start when the line says.
"""

import contextlib
import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sentinel.linux.kinship import Identity
from sentinel.linux.locks import try_lock
from sentinel.linux.runtime import Place, RuntimeDirectory, open_runtime_directory
from sentinel.model.errors import KernelFileError
from sentinel.rss import RECORD
from sentinel.rss.family import Family

PREFIX = RECORD
WRITE_EVERY = 1.0
"""Seconds between two writes: a fork storm must not become a storm of writes."""
_FORMAT = "sentinel-rss-1"


class Kin(NamedTuple):
    """A record's content: where its numbers are valid, and the family."""

    boot: str
    namespace: int
    members: tuple[Identity, ...]


def here() -> tuple[str, int]:
    """Boot id and pid namespace of this process: what its pids are relative to. Raises OSError."""
    with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
        return file.read().strip(), os.stat("/proc/self/ns/pid").st_ino


def format_record(kin: Kin) -> bytes:
    """The bytes of a record."""
    lines = [_FORMAT, f"{kin.boot:<36}", f"{kin.namespace:<20}"]
    lines += [f"{pid:<10} {start:<20}" for pid, start in kin.members]
    return "".join(line + "\n" for line in lines).encode()


def parse_record(text: bytes) -> Kin | None:
    """Read a record; None when it is none. Lines that are no whole lines are left out."""
    lines = text.decode("ascii", errors="replace").split("\n")
    if len(lines) < 3 or lines[0] != _FORMAT or not _is_number(lines[2].strip()):
        return None
    members = []
    for line in lines[3:-1]:  # the last one has no newline
        fields = line.split()
        if len(fields) == 2 and all(map(_is_number, fields)):
            members.append(Identity(int(fields[0]), int(fields[1])))
    return Kin(lines[1].strip(), int(lines[2]), tuple(members))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20


class Record:
    """The record of a living run."""

    def __init__(self, places: Sequence[Place] = ()) -> None:
        """Make the file and take its lock. Raises KernelFileError."""
        self._directory = open_runtime_directory(places)
        self._name = ""
        self._fd = -1
        try:
            self._boot, self._namespace = here()
            while not self._fd >= 0:
                self._make()
        except OSError as error:
            self._directory.close()
            path = os.path.join(self._directory.path, self._name)
            raise KernelFileError("write", path, error.errno or 0) from error

    def _make(self) -> None:
        self._name = f"{PREFIX}{os.urandom(8).hex()}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(self._name, flags, 0o600, dir_fd=self._directory.fd)
        # A sweep may have found the file before it was locked, and be about to remove it.
        if try_lock(fd) and os.fstat(fd).st_nlink:
            self._fd = fd
        else:
            os.close(fd)

    def write(self, members: Iterable[Identity]) -> None:
        """Replace the family by `members`. Raises KernelFileError."""
        text = format_record(Kin(self._boot, self._namespace, tuple(members)))
        try:
            os.pwrite(self._fd, text, 0)
            os.ftruncate(self._fd, len(text))
        except OSError as error:
            path = os.path.join(self._directory.path, self._name)
            raise KernelFileError("write", path, error.errno or 0) from error

    def close(self) -> None:
        """Remove the file: the run is over."""
        remove(self._directory, self._name)
        os.close(self._fd)
        self._directory.close()


class Notebook:
    """Keeps a family's record. That it cannot is told once and ends nothing."""

    def __init__(self, family: Family, places: Sequence[Place] = ()) -> None:
        """Nothing is written before the command has started."""
        self._family = family
        self._places = places
        self._record: Record | None = None
        self._version = -1
        self._due = 0.0
        self._failure = ""

    def open(self) -> None:
        """Make the record and write down who is there."""
        try:
            self._record = Record(self._places)
            self._write(self._record)
        except KernelFileError as error:
            self._fail(error)

    def turn(self, now: float) -> str:
        """Write the family down if it has changed; a failure that was not told yet, or empty."""
        if self._record is not None and self._family.version != self._version and now >= self._due:
            self._due = now + WRITE_EVERY
            try:
                self._write(self._record)
            except KernelFileError as error:
                self._fail(error)
        failure, self._failure = self._failure, ""
        return failure

    def _write(self, record: Record) -> None:
        self._version = self._family.version
        record.write(member.identity for member in self._family.living())

    def _fail(self, error: KernelFileError) -> None:
        self.close()
        self._failure = f"if sentinel is killed, only the main process will be ended: {error}"

    def close(self) -> None:
        """Remove the record: the run is over."""
        if self._record is not None:
            self._record.close()
            self._record = None


def remove(directory: RuntimeDirectory, name: str) -> None:
    """Remove a record, if it is still there and may be."""
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=directory.fd)

"""Where runs are written down: one's own two places, and for root those of everybody."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sentinel.linux.runtime import Place, RuntimeDirectory, existing_runtime_directories

_LOOK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PREFIX = "sentinel-"
EVERYBODY = (("/run/user", "sentinel"), ("/tmp", ""))  # noqa: S108 - looked at, nothing is made
"""Parents of all users' places: below UID/ the one, as sentinel-UID the other."""


class Directory(NamedTuple):
    """An open directory of runs and the user whose runs they are."""

    uid: int
    path: str
    fd: int

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)


def own(places: Sequence[Place] = ()) -> list[Directory]:
    """One's own directories that exist (default: both places of the effective user)."""
    return [_own(found) for found in existing_runtime_directories(places)]


def _own(found: RuntimeDirectory) -> Directory:
    return Directory(os.geteuid(), found.path, found.fd)


def everybody(parents: Sequence[tuple[str, str]] = ()) -> list[Directory]:
    """Every user's directories that can be opened; for others than root these are one's own.

    A directory is taken only when it belongs to the user whose number is in its path, is closed
    to everybody else and is reached without a symlink.
    """
    found = []
    for parent, below in parents or EVERYBODY:
        for uid, path in _candidates(parent, below):
            fd = _open(parent, path, uid)
            if fd is not None:
                found.append(Directory(uid, os.path.join(parent, path), fd))
    return found


def _candidates(parent: str, below: str) -> Iterator[tuple[int, str]]:
    try:
        names = os.listdir(parent)
    except OSError:
        return
    for name in sorted(names):
        number = name if below else name.removeprefix(_PREFIX)
        named = number.isascii() and number.isdigit() and len(number) <= 10
        if named and (below or name.startswith(_PREFIX)):
            yield int(number), f"{name}/{below}" if below else name


def _open(parent: str, path: str, uid: int) -> int | None:
    """Open `parent`/`path` step by step: below `parent` all is of `uid` and no symlink."""
    fd = -1
    try:
        fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in path.split("/"):
            outer, fd = fd, os.open(name, _LOOK, dir_fd=fd)
            os.close(outer)
            if os.fstat(fd).st_uid != uid:
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)
        if stat.S_IMODE(os.fstat(fd).st_mode) & 0o077:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)
    except OSError:
        if fd >= 0:
            os.close(fd)
        return None
    return fd

"""Cgroup directories, held by a descriptor.

Every read and write is relative to it, so that a cgroup of the same name that somebody makes
later is never touched.
"""

from __future__ import annotations

import errno
import os

from sentinel.cgroup import files
from sentinel.model.errors import KernelFileError

_GONE = (errno.ENOENT, errno.ENODEV)
_MEMBERLESS = (*_GONE, errno.EOPNOTSUPP, errno.ENAMETOOLONG)
"""A threaded cgroup cannot list processes: the nearest domain above it lists them. What lies
deeper than a path can say is out of reach for everything but cgroup.kill."""
_READ_BYTES = 1 << 16
_SHORT = 2048
"""Bytes; a page less the longest line."""


class Cgroup:
    """An open cgroup directory. `path` is for messages only."""

    def __init__(self, fd: int, path: str) -> None:
        """Own `fd`, a descriptor of the directory."""
        self.fd = fd
        self.path = path

    @classmethod
    def open(cls, path: str) -> Cgroup:
        """Open the directory `path`. Raises KernelFileError."""
        try:
            return cls(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), path)
        except OSError as error:
            raise KernelFileError("open", path, error.errno or 0) from error

    def twin(self) -> Cgroup:
        """The same cgroup by a descriptor of its own."""
        return type(self)(os.dup(self.fd), self.path)

    def open_file(self, name: str, flags: int = os.O_RDONLY) -> int:
        """Open a file of this cgroup. Raises KernelFileError."""
        try:
            return os.open(name, flags | os.O_CLOEXEC, dir_fd=self.fd)
        except OSError as error:
            raise self._failure("open", name, error) from error

    def read(self, name: str) -> str | None:
        """Text of the file `name`; None when the file or the cgroup is not there.

        Raises KernelFileError.
        """
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.fd)
            try:
                return read_all(fd)
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise self._failure("read", name, error) from error

    def counts(self, name: str) -> dict[str, int]:
        """The flat-keyed file `name`, empty when it is not there. Raises KernelFileError."""
        return files.parse_flat_keyed(self.read(name) or "")

    def pids(self) -> list[int]:
        """Processes of this very cgroup, as this pid namespace numbers them (0: outside it)."""
        return self._pids(files.CGROUP_PROCS)

    def _pids(self, name: str) -> list[int]:
        try:
            return [int(word) for word in (self.read(name) or "").split()]
        except KernelFileError as error:
            if error.errno in _MEMBERLESS:
                return []
            raise

    def write(self, name: str, value: str, *, remedy: str = "") -> None:
        """Put `value` into the file `name` in one system call. Raises KernelFileError."""
        try:
            fd = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=self.fd)
            try:
                os.write(fd, value.encode())
            finally:
                os.close(fd)
        except OSError as error:
            raise self._failure("write", name, error, value, remedy) from error

    def has(self, name: str) -> bool:
        """Whether this kernel and these controllers give the cgroup a file `name`."""
        return os.access(name, os.F_OK, dir_fd=self.fd)

    def child_names(self) -> list[str]:
        """Names of the child cgroups; empty when this one is gone. Raises KernelFileError."""
        return self._names_in("")

    def _names_in(self, path: str) -> list[str]:
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            fd = os.open(path or ".", flags, dir_fd=self.fd)
            try:
                with os.scandir(fd) as entries:
                    return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno in _MEMBERLESS:
                return []
            raise self._failure("list", path, error) from error

    def descendants(self) -> list[str]:
        """Relative paths of all cgroups inside, each before what is in it.

        One descriptor at a time, because a command may nest as deeply as it likes.
        Raises KernelFileError.
        """
        found: list[str] = []
        waiting = [""]
        while waiting:
            path = waiting.pop()
            inner = [f"{path}/{name}" if path else name for name in self._names_in(path)]
            found += inner
            waiting += inner
        return found

    def child(self, name: str) -> Cgroup | None:
        """Open the child `name`; None when it is not there. Raises KernelFileError."""
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(name, flags, dir_fd=self.fd)
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise self._failure("open", name, error) from error
        return type(self)(fd, f"{self.path}/{name}")

    def make_child(self, name: str) -> Cgroup | None:
        """Make and open the child `name`; None when it exists already. Raises KernelFileError."""
        try:
            os.mkdir(name, 0o755, dir_fd=self.fd)
        except FileExistsError:
            return None
        except OSError as error:
            raise self._failure("mkdir", name, error) from error
        return self.child(name)

    def remove_child(self, name: str) -> str:
        """Remove the child `name` with all cgroups inside; what stood in the way, or empty.

        Raises KernelFileError when it cannot even be looked into.
        """
        child = self.child(name)
        if child is None:
            return ""
        try:
            for path in reversed(child.descendants()):
                _rmdir(child.fd, path)
        finally:
            child.close()
        complaint = _rmdir(self.fd, name)
        return complaint and f"{self.path}/{name}: {complaint}"

    def is_populated(self) -> bool:
        """Whether a living process is anywhere inside. Zombies do not count (cgroup-v2.rst)."""
        return self.counts(files.CGROUP_EVENTS).get("populated", 0) != 0

    def all_pids(self) -> list[int]:
        """Processes of this cgroup and of every cgroup inside. Raises KernelFileError."""
        pids = self.pids()
        for path in self.descendants():
            pids += self._pids(f"{path}/{files.CGROUP_PROCS}")
        return pids

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)

    def _failure(
        self, op: str, name: str, error: OSError, value: str = "", remedy: str = ""
    ) -> KernelFileError:
        path = f"{self.path}/{name}" if name else self.path
        return KernelFileError(op, path, error.errno or 0, value=value, remedy=remedy)


def _rmdir(fd: int, path: str) -> str:
    """Remove the directory `path` below `fd`; what stood in the way, or empty."""
    try:
        os.rmdir(path, dir_fd=fd)
    except OSError as error:
        if error.errno not in _GONE:
            return os.strerror(error.errno or 0)
    return ""


def is_read_only(path: str) -> bool:
    """Whether the mount that `path` is in cannot be written to; no where nobody can tell."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def read_all(fd: int) -> str:
    """The whole text of a freshly opened kernel file.

    A seq_file hands out a page at a time, so a short first read was all of it.
    """
    chunks = []
    while chunk := os.read(fd, _READ_BYTES):
        chunks.append(chunk)
        if len(chunks) == 1 and len(chunk) < _SHORT:
            break
    return b"".join(chunks).decode(errors="replace")

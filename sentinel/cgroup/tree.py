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
_READ_BYTES = 1 << 16


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
        return [int(word) for word in (self.read(files.CGROUP_PROCS) or "").split()]

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
        """Names of the child cgroups; empty when this one is gone."""
        try:
            with os.scandir(self.fd) as entries:
                return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            if error.errno in _GONE:
                return []
            raise self._failure("list", "", error) from error

    def child(self, name: str) -> Cgroup | None:
        """Open the child `name`; None when it is not there. Raises KernelFileError."""
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(name, flags, dir_fd=self.fd)
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise self._failure("open", name, error) from error
        return Cgroup(fd, f"{self.path}/{name}")

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
        """Remove the child `name` with all cgroups inside; what stood in the way, or empty."""
        child = self.child(name)
        if child is None:
            return ""
        try:
            for inner in child.child_names():
                child.remove_child(inner)
        finally:
            child.close()
        try:
            os.rmdir(name, dir_fd=self.fd)
        except OSError as error:
            if error.errno not in _GONE:
                return f"{self.path}/{name}: {os.strerror(error.errno or 0)}"
        return ""

    def is_populated(self) -> bool:
        """Whether a living process is anywhere inside. Zombies do not count (kernel-notes Q5)."""
        return self.counts(files.CGROUP_EVENTS).get("populated", 0) != 0

    def all_pids(self) -> list[int]:
        """Processes of this cgroup and of every cgroup inside."""
        pids = self.pids()
        for name in self.child_names():
            inner = self.child(name)
            if inner is not None:
                try:
                    pids.extend(inner.all_pids())
                finally:
                    inner.close()
        return pids

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)

    def _failure(
        self, op: str, name: str, error: OSError, value: str = "", remedy: str = ""
    ) -> KernelFileError:
        path = f"{self.path}/{name}" if name else self.path
        return KernelFileError(op, path, error.errno or 0, value=value, remedy=remedy)


def read_all(fd: int) -> str:
    """The whole text of a freshly opened kernel file."""
    chunks = []
    while chunk := os.read(fd, _READ_BYTES):
        chunks.append(chunk)
    return b"".join(chunks).decode(errors="replace")

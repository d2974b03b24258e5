"""Where the JSON document goes: proved writable before the start, written to at the end.

A regular file is replaced at once (rename(2)): a reader sees the old document or the new one,
never half of one. Where only its content is ours to change it is overwritten: a container's
/dev/termination-log is a mount point in a directory that takes no files. A descriptor, FIFO or
device is written to directly, and never for ever.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import NamedTuple, NoReturn, Protocol

from sentinel.model.errors import SentinelError, UsageFault

STALL_MS = 5_000
"""How long a reader may take none of the document before it is given up, milliseconds."""

_PIECE = 4096
"""Bytes at a time: a pipe that polls as writable takes this much without blocking (pipe(7))."""

_ALIASES = {"-": 2, "/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


class Target(Protocol):
    """Where a document can be delivered, once."""

    def deliver(self, document: bytes) -> None:
        """Write `document`. Raises SentinelError, and leaves nothing half-written behind."""


def open_target(text: str) -> Target:
    """The target that `--json` names: a path, `-` for stderr, or `fd:N`.

    Raises SentinelError when it cannot be written to, and UsageFault when it names none.
    """
    number = _descriptor(text)
    if number is not None:
        return _Stream(text, _checked_descriptor(text, number))
    if not text:
        raise UsageFault("--json: '' names no target", "give a path, - for stderr, or fd:N")
    try:
        mode = os.stat(text).st_mode
    except FileNotFoundError:
        return _file(text, None)
    except OSError as error:
        _refuse(text, error)
    if stat.S_ISREG(mode):
        return _file(text, stat.S_IMODE(mode))
    if stat.S_ISDIR(mode):
        _refuse(text, OSError(errno.EISDIR, os.strerror(errno.EISDIR)))
    if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        raise SentinelError(f"--json: {text!r} is a socket or disk", "give a file, FIFO or fd:N")
    return _Stream(text, _open_stream(text, mode))


def _descriptor(text: str) -> int | None:
    """The number in `fd:N`, `-`, and the names that the kernel has for descriptors."""
    if text in _ALIASES:
        return _ALIASES[text]
    for prefix in ("fd:", "/dev/fd/", "/proc/self/fd/"):
        digits = text.removeprefix(prefix)
        if digits == text:
            continue
        if digits.isascii() and digits.isdigit() and len(digits) < len(str(1 << 31)):
            return int(digits)
        raise UsageFault(f"--json: {text!r} names no descriptor", "write it like fd:3")
    return None


def _checked_descriptor(text: str, fd: int) -> int:
    """`fd`, if Sentinel was started with it open for writing."""
    import fcntl

    remedy = f"open it, as in {fd}>outcome.json"
    try:
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        # What was inherited cannot have this flag: the descriptor is one of our own.
        ours = fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    except OSError:
        ours, flags = 1, 0
    if ours:
        raise SentinelError(f"--json: {text!r} is not open", remedy)
    if flags & os.O_ACCMODE == os.O_RDONLY or flags & os.O_PATH:
        raise SentinelError(f"--json: {text!r} is not open for writing", remedy)
    return fd


def _open_stream(path: str, mode: int) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO and stat.S_ISFIFO(mode):
            raise SentinelError(
                f"--json: {path!r} has no reader", "start its reader first, or give a file"
            ) from None
        _refuse(path, error)


def _refuse(path: str, error: OSError) -> NoReturn:
    raise SentinelError(
        f"--json: cannot write {path!r}: {error.strerror}",
        "give a path that you can write to, or fd:N",
    ) from None


class _Stream(NamedTuple):
    """A descriptor, a FIFO or a device."""

    name: str
    fd: int

    def deliver(self, document: bytes) -> None:
        """Write piece by piece, as long as somebody takes them."""
        import select

        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        rest = document
        while rest:
            try:
                if not poll.poll(STALL_MS):
                    raise SentinelError(
                        f"--json: {self.name!r} took {len(document) - len(rest)} of "
                        f"{len(document)} bytes and then no more in {STALL_MS // 1000} s",
                        "read from it until it ends",
                    )
                rest = rest[os.write(self.fd, rest[:_PIECE]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                _refuse(self.name, error)


def _file(path: str, mode: int | None) -> Target:
    """A regular file, or one to be; `mode` is that of the present one."""
    real = os.path.realpath(path)
    directory, name = os.path.split(real)
    try:
        if path.endswith("/"):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        # A file that is protected from its owner is not replaced behind his back.
        present = None if mode is None else os.open(real, os.O_WRONLY | os.O_CLOEXEC)
        place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        _refuse(path, error)
    file = _File(path, place, name, present)
    try:
        file.prove()
    except OSError as error:
        if present is None or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            _refuse(path, error)
        return _InPlace(path, present)
    return file


class _InPlace(NamedTuple):
    """A regular file that can be written to, but not replaced."""

    path: str
    fd: int

    def deliver(self, document: bytes) -> None:
        """Overwrite what it holds."""
        rest = document
        try:
            os.ftruncate(self.fd, 0)
            while rest:
                rest = rest[os.write(self.fd, rest) :]
        except OSError as error:
            _refuse(self.path, error)


class _File(NamedTuple):
    """A regular file called `name` in the open directory `place`; `path` is what was asked for.

    `present`: the one that stands there already, open.
    """

    path: str
    place: int
    name: str
    present: int | None

    def prove(self) -> None:
        """Make a file beside it and remove it again. Raises OSError."""
        temporary, fd = self._temporary()
        os.close(fd)
        os.unlink(temporary, dir_fd=self.place)

    def _temporary(self) -> tuple[str, int]:
        """Make a file that has a name of its own in the target's directory."""
        name = f".sentinel-{os.urandom(8).hex()}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return name, os.open(name, flags, 0o666, dir_fd=self.place)

    def deliver(self, document: bytes) -> None:
        """Write beside the file, down to the disk, and put it in the file's place."""
        try:
            temporary, fd = self._temporary()
        except OSError as error:
            _refuse(self.path, error)
        try:
            with open(fd, "wb") as file:
                self._keep_permissions(fd)
                file.write(document)
                file.flush()
                os.fsync(fd)
            os.rename(temporary, self.name, src_dir_fd=self.place, dst_dir_fd=self.place)
        except OSError as error:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=self.place)
            if self.present is None or error.errno != errno.EBUSY:
                _refuse(self.path, error)
            _InPlace(self.path, self.present).deliver(document)

    def _keep_permissions(self, fd: int) -> None:
        """Give the new file the owner and the mode of the one that it replaces, if there is one."""
        try:
            old = os.stat(self.name, dir_fd=self.place, follow_symlinks=False)
        except FileNotFoundError:
            return
        for owner in (-1, old.st_uid):
            # Only root gives files away; to a group of one's own anybody may.
            with suppress(PermissionError):
                os.fchown(fd, owner, old.st_gid)
        os.fchmod(fd, stat.S_IMODE(old.st_mode) & 0o777)

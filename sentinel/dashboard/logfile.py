"""The output of a command, whole, in a file of its own whose size is bounded.

Two pieces: when the newer one is full it takes the place of the older one. So what was written
last is there without a gap, at least half of the bound of it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import suppress

from sentinel.linux.locks import try_lock
from sentinel.model.errors import SentinelError

BOUND = 64 << 20
"""Bytes of the logs of one run."""

KEPT_SECONDS = 7 * 86400.0
"""How long the log of a run that is over is kept after its last line."""

NEWS, LOST = b".", b"!"
"""What the viewer of a log is rung with: there is more in it, or what came last is not."""

END = ".log"
OLDER = ".log.1"
LONGEST_NAME = 100
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_APPEND
_ATTEMPTS = 1000


def directory(environment: Mapping[str, str]) -> str:
    """`$XDG_STATE_HOME/sentinel/logs`; what is no absolute path counts as unset (XDG basedir).

    Raises SentinelError when there is no home either.
    """
    state = environment.get("XDG_STATE_HOME", "")
    if not state.startswith("/"):
        home = environment.get("HOME", "")
        if not home.startswith("/"):
            why = "there is no place for the output: neither XDG_STATE_HOME nor HOME is a path"
            raise SentinelError(why, "set XDG_STATE_HOME")
        state = os.path.join(home, ".local", "state")
    return os.path.join(state, "sentinel", "logs")


class RunLog:
    """Takes what a command writes. It is locked as long as the run lives, so no sweep takes it."""

    def __init__(self, place: str, name: str, pid: int, bound: int = BOUND) -> None:
        """Make the log of the run `name` in the directory `place`. Raises SentinelError."""
        self._piece = max(1, bound // 2)
        self.failure = ""
        try:
            os.makedirs(place, mode=0o700, exist_ok=True)
            self.path, self._fd = _make(place, f"{_safe(name)}.{pid}")
        except OSError as error:
            why = os.strerror(error.errno or errno.EIO)
            raise SentinelError(
                f"cannot keep the output in {place}: {why}", "set XDG_STATE_HOME"
            ) from error
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append `data`. What cannot be written is lost, and `failure` says why."""
        rest = memoryview(data)
        try:
            while rest:
                if self._size >= self._piece:
                    self._turn_over()
                wrote = os.write(self._fd, rest[: self._piece - self._size])
                self._size += wrote
                rest = rest[wrote:]
        except OSError as error:
            self.failure = os.strerror(error.errno or errno.EIO)

    def _turn_over(self) -> None:
        """Make the full piece the older one and begin a new one."""
        os.replace(self.path, self.path.removesuffix(END) + OLDER)
        full = self._fd
        self._fd = os.open(self.path, _FLAGS, 0o600)
        try_lock(self._fd)
        os.close(full)
        self._size = 0

    def close(self) -> None:
        """Write no more; the log may be swept some day."""
        os.close(self._fd)


def _make(place: str, stem: str) -> tuple[str, int]:
    """A new file: a number is added where an earlier run had the same name and pid."""
    for attempt in range(1, _ATTEMPTS):
        path = os.path.join(place, stem + (f"-{attempt}" if attempt > 1 else "") + END)
        with suppress(FileExistsError):
            fd = os.open(path, _FLAGS, 0o600)
            try_lock(fd)
            return path, fd
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), stem)


def _safe(name: str) -> str:
    """`name` as a part of a file's name."""
    kept = "".join(
        c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name[:LONGEST_NAME]
    )
    return kept.lstrip(".-") or "run"


def sweep(place: str, now: float) -> None:
    """Remove logs in `place` not written for seven days before `now` (epoch) and held by nobody.

    What cannot be removed stays, without a word: the next run tries again.
    """
    with suppress(OSError):
        for name in os.listdir(place):
            if name.endswith((END, OLDER)):
                with suppress(OSError):
                    _sweep_one(os.path.join(place, name), now)


def _sweep_one(path: str, now: float) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if now - os.fstat(fd).st_mtime > KEPT_SECONDS and try_lock(fd):
            os.unlink(path)
    finally:
        os.close(fd)


class Follower:
    """Reads a log as it grows, over the turn of its pieces; may skip what is long past."""

    def __init__(self, path: str, most: int) -> None:
        """`most`: bytes given at a time; of what came on top of it only the newest is read."""
        self._path = path
        self._most = most
        self._fd = -1
        self._at = 0

    def read(self) -> bytes:
        """What is new; empty when there is nothing."""
        if self._fd < 0 and not self._open():
            return b""
        data = self._rest()
        if len(data) < self._most and self._was_turned():
            os.close(self._fd)
            self._fd = -1
            if self._open():
                data = (data + self._rest())[-self._most :]
        return data

    def _rest(self) -> bytes:
        size = os.fstat(self._fd).st_size
        self._at = max(self._at, size - self._most)
        data = os.pread(self._fd, self._most, self._at)
        self._at += len(data)
        return data

    def _open(self) -> bool:
        try:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        self._at = 0
        return True

    def _was_turned(self) -> bool:
        try:
            return os.stat(self._path).st_ino != os.fstat(self._fd).st_ino
        except OSError:
            return False

    def close(self) -> None:
        """Read no more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

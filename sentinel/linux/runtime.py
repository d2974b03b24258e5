"""The runtime directory of a user: where records and sockets of live runs are.

`/run/user/UID/sentinel` when `/run/user/UID` is that user's, whatever the environment says,
else `/tmp/sentinel-UID`, where anybody may have put something first: it is taken only as a
real directory (no symlink) of that user's, closed to everybody else.
"""

import errno
import os
import stat
from collections.abc import Sequence
from typing import NamedTuple

from sentinel.model.errors import KernelFileError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_CLOSED_TO_OTHERS = 0o077


class Place(NamedTuple):
    """Where a runtime directory may be. `private`: the parent must be the user's own."""

    parent: str
    name: str
    private: bool

    @property
    def path(self) -> str:
        """The directory's path."""
        return os.path.join(self.parent, self.name)


class RuntimeDirectory(NamedTuple):
    """An open runtime directory; everything in it is reached through `fd`."""

    path: str
    fd: int

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)


def places(uid: int | None = None) -> tuple[Place, ...]:
    """Both places of user `uid` (default: the effective one), best first."""
    uid = os.geteuid() if uid is None else uid
    return (
        Place(f"/run/user/{uid}", "sentinel", private=True),
        Place("/tmp", f"sentinel-{uid}", private=False),  # noqa: S108 - checked when opened
    )


def open_runtime_directory(candidates: Sequence[Place] = ()) -> RuntimeDirectory:
    """Open the first usable place, making the directory where it is missing.

    Raises KernelFileError, about the last place tried, when there is none.
    """
    refusal = KernelFileError("open", "the runtime directory", errno.ENOENT)
    for place in candidates or places():
        try:
            return _open(place, create=True)
        except KernelFileError as error:
            refusal = error
    raise refusal


def existing_runtime_directories(candidates: Sequence[Place] = ()) -> list[RuntimeDirectory]:
    """Open every place that exists and is safe: runs may be recorded in any of them."""
    found = []
    for place in candidates or places():
        try:
            found.append(_open(place, create=False))
        except KernelFileError:
            continue
    return found


def holds_any(prefix: str, candidates: Sequence[Place] = ()) -> bool:
    """Whether a file whose name begins with `prefix` is in any of them."""
    found = False
    for directory in existing_runtime_directories(candidates):
        try:
            found = found or any(name.startswith(prefix) for name in os.listdir(directory.fd))
        except OSError:
            continue
        finally:
            directory.close()
    return found


def _open(place: Place, *, create: bool) -> RuntimeDirectory:
    flags = _DIRECTORY | (os.O_NOFOLLOW if place.private else 0)
    parent = _attempt("open", place.parent, place.parent, flags, None)
    try:
        if place.private and os.fstat(parent).st_uid != os.geteuid():
            raise KernelFileError("use", place.parent, errno.EPERM)
        if create:
            _make(place, parent)
        fd = _attempt("open", place.path, place.name, _DIRECTORY | os.O_NOFOLLOW, parent)
    finally:
        os.close(parent)
    try:
        _refuse_foreign(place.path, os.fstat(fd))
    except KernelFileError:
        os.close(fd)
        raise
    return RuntimeDirectory(place.path, fd)


def _attempt(op: str, path: str, name: str, flags: int, parent: int | None) -> int:
    try:
        return os.open(name, flags, dir_fd=parent)
    except OSError as error:
        number = error.errno or errno.EIO
        remedy = ""
        if number in (errno.ELOOP, errno.ENOTDIR):
            remedy = f"somebody put something else there: remove {path}"
        raise KernelFileError(op, path, number, remedy=remedy) from error


def _make(place: Place, parent: int) -> None:
    # Whatever the caller's umask leaves of the mode: what is 0 its own maker could not open.
    before = os.umask(_CLOSED_TO_OTHERS)
    try:
        os.mkdir(place.name, 0o700, dir_fd=parent)
    except FileExistsError:
        return
    except OSError as error:
        raise KernelFileError("mkdir", place.path, error.errno or errno.EIO) from error
    finally:
        os.umask(before)


def _refuse_foreign(path: str, status: os.stat_result) -> None:
    """Refuse what others can write to, or own."""
    if status.st_uid != os.geteuid():
        raise KernelFileError(
            "use", path, errno.EPERM, remedy=f"it belongs to uid {status.st_uid}: have it removed"
        )
    if stat.S_IMODE(status.st_mode) & _CLOSED_TO_OTHERS:
        raise KernelFileError("use", path, errno.EPERM, remedy=f"close it: chmod 700 {path}")

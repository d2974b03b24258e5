"""The files of a run's own cgroup, read as text (cgroup-v2.rst); needs next to nothing imported.

Every file is reached through one descriptor of the directory, so that a leaf that is removed
and another one of its name are never mixed. A file that this kernel does not have, or that is
turned off (PSI), is left out.
"""

import errno
import os
from collections.abc import Iterable, Mapping

from sentinel.model.errors import KernelFileError

COUNTING = (
    *("cpu.stat", "memory.stat", "memory.events", "memory.peak"),
    *("memory.pressure", "cpu.pressure", "io.pressure", "io.stat"),
)
"""Files whose content counts or only grows. cpu.stat first: reading it flushes the counters."""

_GONE = (errno.ENOENT, errno.ENODEV)
_OFF = (*_GONE, errno.EOPNOTSUPP, errno.EINVAL)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_ENOUGH = 1 << 16

Texts = Mapping[str, str]


def read_leaf(path: str, names: Iterable[str]) -> dict[str, str] | None:
    """The text of each file of the cgroup at `path`; None when it is gone.

    Raises KernelFileError when it may not be read.
    """
    try:
        directory = os.open(path, _DIRECTORY)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise KernelFileError("open", path, error.errno or errno.EIO) from error
    try:
        texts = {name: _read(directory, path, name) for name in names}
    finally:
        os.close(directory)
    return {name: text for name, text in texts.items() if text is not None}


def _read(directory: int, path: str, name: str) -> str | None:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
        try:
            text = b""
            # seq_files give a page at a time, io.stat of many devices is more than one.
            while more := os.read(fd, _ENOUGH):
                text += more
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in _OFF:
            return None
        raise KernelFileError("read", f"{path}/{name}", error.errno or errno.EIO) from error
    return text.decode(errors="backslashreplace")

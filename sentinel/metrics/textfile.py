"""Metrics as a file for node_exporter's textfile collector."""

from __future__ import annotations

import contextlib
import errno
import os

from sentinel.model.errors import SentinelError

NAME = "sentinel.prom"
"""The collector reads every `*.prom`."""


def write_textfile(directory: str, text: bytes) -> str:
    """Replace DIRECTORY/sentinel.prom as a whole, readable by everybody; its path.

    Raises SentinelError.
    """
    path, draft = f"{directory}/{NAME}", f"{directory}/.{NAME}.{os.getpid()}"
    try:
        if not directory:  # a variable that was not set: with the slash it would be the root
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
        try:
            with open(fd, "wb") as file:
                os.fchmod(fd, 0o644)
                file.write(text)
            os.rename(draft, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(draft)
            raise
    except OSError as error:
        raise SentinelError(
            f"cannot write {NAME} in {directory!r}: {os.strerror(error.errno or 0)}",
            "name the directory of node_exporter's --collector.textfile.directory",
        ) from error
    return path

"""Errors that know their exit status and their remedy; only `commands/` prints them and exits.

A file or process that has vanished (ENOENT, ENODEV, ESRCH) is an answer, not an error:
the wrappers return None or False for it.
"""

from __future__ import annotations

import os

EXIT_USAGE = 2
EXIT_LIMIT = 124
EXIT_SENTINEL = 125
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127


class SentinelError(Exception):
    """Something Sentinel could not do: what, and what the reader can do about it."""

    exit_status = EXIT_SENTINEL

    def __init__(self, message: str, remedy: str = "") -> None:
        """Keep the two halves apart so that each report can lay them out."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        """Both halves in one line."""
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class UsageFault(SentinelError):
    """The caller's words are wrong."""

    exit_status = EXIT_USAGE


class KernelFileError(SentinelError):
    """A kernel file refused an operation: which, where, with what value, and the errno."""

    def __init__(
        self, op: str, path: str, error: int, *, value: str = "", remedy: str = ""
    ) -> None:
        """`op` is a verb (`read`, `write`, `mkdir`); `error` an errno number."""
        what = f"{op} {path}" if not value else f"{op} {value!r} to {path}"
        name = os.strerror(error)
        super().__init__(f"cannot {what}: {name}", remedy)
        self.op = op
        self.path = path
        self.value = value
        self.errno = error


class StartError(SentinelError):
    """The command was not started: it is not there, cannot run, or could not be placed."""

    def __init__(self, message: str, remedy: str = "", *, exit_status: int = EXIT_SENTINEL) -> None:
        """`exit_status` is 126, 127 or 125, as a shell's (docs/verdicts.md)."""
        super().__init__(message, remedy)
        self.exit_status = exit_status

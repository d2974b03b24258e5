"""The C library calls that Python lacks: prctl(2), signalfd(2), execvpe(3).

Every argument is an integer or bytes that this room made; errno becomes OSError.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence

_libc = ctypes.CDLL(None, use_errno=True)

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_SFD_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
_SIGSET_BYTES = 128


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), f"prctl({option})")


def set_parent_death_signal(number: int) -> None:
    """Have the kernel send signal `number` to this process when its parent thread dies.

    Cleared by fork and by the exec of a set-user-ID program (prctl(2)). Raises OSError.
    """
    _prctl(_PR_SET_PDEATHSIG, number)


def forbid_core_dump() -> None:
    """Have this process leave no core, not even where cores are piped to a program (core(5))."""
    _prctl(_PR_SET_DUMPABLE, 0)


def become_subreaper() -> None:
    """Make orphaned descendants children of this process instead of PID 1's. Raises OSError."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def signalfd(signals: Sequence[int]) -> int:
    """Open a non-blocking descriptor that delivers `signals`, which the caller has blocked.

    Raises OSError.
    """
    mask = sum(1 << (number - 1) for number in signals)
    sigset = mask.to_bytes(_SIGSET_BYTES, "little")
    fd: int = _libc.signalfd(-1, sigset, _SFD_FLAGS)
    if fd < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), "signalfd")
    return fd


def execvpe(argv: Sequence[bytes], environment: Sequence[bytes]) -> int:
    """Become `argv`, found on the caller's PATH as execvp(3) does; return an errno on failure.

    The C library's own search is used so that scripts without an interpreter line,
    an unset PATH and unreadable PATH entries behave as under env(1) and nohup(1).
    `environment` is passed entry by entry, malformed or doubled ones included.
    """
    argv_array = (ctypes.c_char_p * (len(argv) + 1))(*argv, None)
    environment_array = (ctypes.c_char_p * (len(environment) + 1))(*environment, None)
    _libc.execvpe(argv[0], argv_array, environment_array)
    return ctypes.get_errno()

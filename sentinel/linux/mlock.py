"""Keep the guard in memory: mlockall(2), mlock2(2), and what came of it (proc(5), smaps).

On a machine that swaps, a guard that slept for an hour would first have to be read back in,
just when memory is short. Locked is what there is, page by page as it is used (ONFAULT, Linux
4.4): locking whole mappings would read in whole libraries. What is mapped later is left alone
(no MCL_FUTURE), so that a guard at its RLIMIT_MEMLOCK can still allocate. A child inherits no
lock, and exec drops it.
"""

from __future__ import annotations

import ctypes
import errno
from typing import NamedTuple

_MCL_CURRENT = 1
_MCL_ONFAULT = 4
_MLOCK_ONFAULT = 1
_KIB = 1024
_LEAST = 4096
"""Bytes: the smallest page that there is."""

_libc = ctypes.CDLL(None, use_errno=True)


class Held(NamedTuple):
    """Bytes of this process that only swap could hold elsewhere, and those of them locked."""

    swappable: int
    locked: int


def stay_in_memory(maps: str = "/proc/self/maps") -> None:
    """Lock this process's memory, as far as it may (CAP_IPC_LOCK, RLIMIT_MEMLOCK).

    Where not all of it may be locked, what is written to is, mapping by mapping: the rest can be
    read back from its file. Best effort, and nothing is raised.
    """
    if _libc.mlockall(_MCL_CURRENT | _MCL_ONFAULT) == 0:
        return
    try:
        with open(maps, "rb", buffering=0) as file:
            lines = file.readall().splitlines()
    except OSError:
        return
    for line in lines:
        span, mode, *_ = line.split(None, 2)
        if mode == b"rw-p":
            start, _, end = span.partition(b"-")
            if not _lock(int(start, 16), int(end, 16) - int(start, 16)):
                return


def _lock(address: int, size: int) -> bool:
    """Lock a mapping, or as much of it as still fits; False when nothing may be locked."""
    while size >= _LEAST:
        if _libc.mlock2(ctypes.c_void_p(address), ctypes.c_size_t(size), _MLOCK_ONFAULT) == 0:
            return True
        if ctypes.get_errno() != errno.ENOMEM:
            return False
        size = size // 2 // _LEAST * _LEAST
    return True


def held_in_memory(smaps: str = "/proc/self/smaps") -> Held | None:
    """What is locked now; None where the kernel does not tell."""
    swappable = locked = anonymous = 0
    try:
        with open(smaps, encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key == "Anonymous":
                    anonymous = int(value.split()[0]) * _KIB
                elif key == "VmFlags":  # the last line of a mapping
                    swappable += anonymous
                    locked += anonymous if "lo" in value.split() else 0
    except (OSError, ValueError):
        return None
    return Held(swappable, locked) if swappable else None

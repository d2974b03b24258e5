"""Whom the kernel's OOM killer takes first: /proc/PID/oom_score_adj (proc(5))."""

from __future__ import annotations

import os
from contextlib import suppress

RAISE = 200
"""As much as if it held a fifth more of all the memory in question; what systemd gives to the
applications of a user, so that their manager outlives them."""
MOST = 1000

_FILE = "/proc/self/oom_score_adj"


def volunteer() -> None:
    """Have this process be taken before the one that forked it; children inherit that.

    Only ever raised, which needs no privilege, and best effort: where /proc is not writable
    everybody is equal. A process that was exempt (-1000) is not any longer, so that an OOM at
    the run's hard limit finds somebody to end.
    """
    with suppress(OSError, ValueError):
        fd = os.open(_FILE, os.O_RDWR | os.O_CLOEXEC)
        try:
            own = int(os.read(fd, 16))
            os.pwrite(fd, str(min(MOST, own + RAISE)).encode(), 0)
        finally:
            os.close(fd)

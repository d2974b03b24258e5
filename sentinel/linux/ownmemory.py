"""What this very process holds: /proc/self/statm (proc(5))."""

from __future__ import annotations

import os

_FILE = "/proc/self/statm"
_ENOUGH = 256


class OwnMemory:
    """Anonymous resident memory of this process, read from one descriptor that stays open."""

    def __init__(self, path: str = _FILE) -> None:
        """Open `path`; where that is refused, nothing is known."""
        self._page = os.sysconf("SC_PAGE_SIZE")
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1

    def anon(self) -> int | None:
        """Bytes, None when that cannot be known. Linux 6.2 to 6.15 lets it lag by some pages."""
        try:
            _, resident, shared, _ = os.pread(self._fd, _ENOUGH, 0).split(b" ", 3)
            return (int(resident) - int(shared)) * self._page
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """Close the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

"""What one reader of `events` has still to get: bounded, and honest about what was lost."""

from __future__ import annotations

from collections import deque

from sentinel.control.answers import lost_line

MOST_LINES = 256
MOST_BYTES = 1 << 16


class Feed:
    """Lines in order. One too many makes room by dropping the oldest, which is counted."""

    def __init__(self) -> None:
        """Nothing to send yet."""
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._lost = 0

    def __bool__(self) -> bool:
        """Whether there is a line to send."""
        return bool(self._lines)

    def add(self, line: bytes) -> None:
        """The newest line; kept whatever its size."""
        self._lines.append(line)
        self._bytes += len(line)
        while len(self._lines) > 1 and (len(self._lines) > MOST_LINES or self._bytes > MOST_BYTES):
            self._bytes -= len(self._lines.popleft())
            self._lost += 1

    def take(self) -> bytes:
        """The next line to send, after the word that some were lost; empty when there is none."""
        if self._lost:
            count, self._lost = self._lost, 0
            return lost_line(count).encode()
        if not self._lines:
            return b""
        line = self._lines.popleft()
        self._bytes -= len(line)
        return line

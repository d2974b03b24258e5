"""Keys: the bytes of a terminal become names. Pure."""

from __future__ import annotations

ESCAPE = 0x1B
_NAMED = {
    b"\x1b[A": "up",
    b"\x1bOA": "up",
    b"\x1b[B": "down",
    b"\x1bOB": "down",
    b"\x1b[5~": "page up",
    b"\x1b[6~": "page down",
    b"\x1b[H": "home",
    b"\x1bOH": "home",
    b"\x1b[1~": "home",
    b"\x1b[F": "end",
    b"\x1bOF": "end",
    b"\x1b[4~": "end",
    b"\x03": "interrupt",
    b"\x1c": "quit signal",
    b"\x1a": "suspend",
    b"\x0c": "redraw",
    b"\r": "enter",
    b"\n": "enter",
}
LONGEST = 32
"""Bytes after which what began like an escape sequence is given up."""


class Keyboard:
    """Takes bytes as they come; a sequence may be cut anywhere."""

    def __init__(self) -> None:
        """Nothing was typed yet."""
        self._pending = b""

    def feed(self, data: bytes) -> list[str]:
        """The keys that are complete now: a name, or the character itself; "" for unknown ones."""
        self._pending += data
        keys = []
        while self._pending:
            length = _length(self._pending)
            if not length:
                break
            key, self._pending = self._pending[:length], self._pending[length:]
            keys.append(_name(key))
        return keys

    @property
    def unfinished(self) -> bool:
        """Whether a sequence has begun and its end is still to come."""
        return bool(self._pending)

    def rest(self) -> list[str]:
        """Call it when nothing followed for a while: a lone Escape was the Escape key."""
        pending, self._pending = self._pending, b""
        return ["escape"] if pending else []


def _name(key: bytes) -> str:
    if len(key) == 1 and 0x20 <= key[0] < 0x7F:
        return key.decode("ascii")
    return _NAMED.get(key, "")


def _length(data: bytes) -> int:
    """Bytes of the first key in `data`; 0: it is not complete."""
    if data[0] != ESCAPE:
        return 1
    if len(data) == 1:
        return 0
    if data[1:2] == b"O":
        return 3 if len(data) > 2 else 0
    if data[1:2] != b"[":
        return 1 if data[1] == ESCAPE else 2  # Alt and a key; Escape twice
    for index in range(2, min(len(data), LONGEST)):
        if 0x40 <= data[index] <= 0x7E:
            return index + 1
    return LONGEST if len(data) >= LONGEST else 0

"""One thing said is one line: no control character, no second line, short enough to be atomic."""

from __future__ import annotations

LONGEST_LINE = 4096
"""Bytes with the newline. PIPE_BUF: what a pipe takes whole or not at all (pipe(7))."""


def printable(text: str) -> str:
    """`text` with everything that is no visible character written as an escape.

    That takes in control characters, line ends, bidirectional marks, and the surrogates that
    stand for undecodable bytes, which are shown as those bytes.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else escape(c) for c in text)


def escape(letter: str) -> str:
    """One character as a backslash escape."""
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # os.fsdecode of a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")


def line(text: str) -> bytes:
    """`text` as a line of Sentinel's on stderr."""
    data = f"sentinel: {printable(text)}".encode()
    if len(data) >= LONGEST_LINE:
        cut = data[: LONGEST_LINE - len("…\n".encode())].decode(errors="ignore")
        data = f"{cut}…".encode()
    return data + b"\n"

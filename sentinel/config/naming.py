"""How a run is called: a word for directories, sockets, labels and lines."""

from __future__ import annotations

import os

from sentinel.model.errors import UsageFault

LONGEST_NAME = 64
"""Bytes in UTF-8; a leaf's directory and a socket's path have little room."""

NAMELESS = "command"


def checked_name(text: str) -> str:
    """`text` if a run may be called so. Raises UsageFault otherwise."""
    problem = _problem(text)
    if problem:
        raise UsageFault(f"{text!r} {problem}", "use a short word like worker")
    return text


def default_name(argv0: bytes) -> str:
    """The basename of the command, with what no name may hold replaced."""
    base = os.path.basename(argv0.rstrip(b"/")).decode(errors="backslashreplace")
    clean = "".join(letter if letter.isprintable() else "_" for letter in base)
    short = clean.encode()[:LONGEST_NAME].decode(errors="ignore")
    return NAMELESS if _problem(short) else short


def _problem(text: str) -> str:
    """What is wrong with `text` as a name; empty when nothing is."""
    if not text.strip():
        return "is empty"
    if text in (".", ".."):
        return "means a directory"
    if "/" in text:
        return "has a slash in it"
    # Surrogates, which stand for undecodable bytes, are not printable either.
    if not text.isprintable():
        return "has characters in it that cannot be shown"
    if len(text.encode()) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} bytes"
    return ""

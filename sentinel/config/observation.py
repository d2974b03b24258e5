"""What observers are given: sockets, ports, the dashboard."""

from __future__ import annotations

import os

from sentinel.config.sources import Words, is_yes, read_word
from sentinel.model.errors import UsageFault
from sentinel.model.spec import Observation
from sentinel.model.units import parse_duration

LONGEST_SOCKET_PATH = 107
"""Bytes that sun_path holds besides its NUL (unix(7))."""
LARGEST_UID = (1 << 32) - 2
LARGEST_PORT = 65535


def observation(words: Words, flags: frozenset[str]) -> Observation:
    """What `words` and `flags` ask for. Raises UsageFault."""
    if "no-socket" in flags and "socket" in words and words["socket"].origin == "--socket":
        raise UsageFault("--socket and --no-socket contradict each other", "give one of them")
    return Observation(
        socket="no-socket" not in flags,
        socket_path=read_word(words, "socket", _socket_path, ""),
        allow_uids=read_word(words, "allow-uid", _uids, frozenset()),
        metrics=read_word(words, "metrics", _port, None),
        metrics_address=read_word(words, "metrics-address", _address, "127.0.0.1"),
        metrics_linger=read_word(words, "metrics-linger", parse_duration, 15.0),
        dashboard=read_word(words, "dashboard", is_yes, default=False),
    )


def _socket_path(text: str) -> str:
    if not text or "\0" in text:
        raise UsageFault(f"{text!r} is no path", "use a path like /tmp/worker.socket")
    path = os.path.abspath(text)
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise UsageFault(
            f"{path!r} is longer than the {LONGEST_SOCKET_PATH} bytes of a socket's path",
            "use a shorter one",
        )
    return path


def _uids(text: str) -> frozenset[int]:
    return frozenset(_uid(word.strip()) for word in text.split(","))


def _uid(text: str) -> int:
    number = _whole(text)
    if number is None or number > LARGEST_UID:
        raise UsageFault(f"{text!r} is no user id", "use numbers, as id -u shows them: 1000,1001")
    return number


def _port(text: str) -> int | None:
    if text.lower() in ("off", "no", "none"):
        return None
    number = _whole(text.strip())
    if number is None or not 1 <= number <= LARGEST_PORT:
        raise UsageFault(f"{text!r} is no TCP port", f"use a number from 1 to {LARGEST_PORT}")
    return number


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


def _address(text: str) -> str:
    from ipaddress import ip_address

    try:
        return str(ip_address(text.strip()))
    except ValueError:
        raise UsageFault(
            f"{text!r} is no address of a network interface", "use 127.0.0.1, 0.0.0.0 or ::1"
        ) from None

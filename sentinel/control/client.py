"""The other side of the control socket, for verbs, dashboard and exporter: it waits, bounded."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Iterator

from sentinel.linux.clock import monotonic
from sentinel.linux.sockets import LONGEST_PATH
from sentinel.model.errors import SentinelError

TIMEOUT = 10.0
"""Seconds. A guard answers in milliseconds; one that is stopped (SIGSTOP) does not at all."""
LONGEST_ANSWER = 4 << 20
LONGEST_EVENT = 1 << 20
_CHUNK = 1 << 16


class ControlError(SentinelError):
    """A run could not be asked: nobody listens, nobody answers, or the answer makes no sense."""


class Late(ControlError):
    """Somebody listens there, and did not answer in time."""


def ask(socket_path: str, line: str, timeout: float = TIMEOUT) -> str:
    """Send `line` and return the whole answer, newlines and all.

    `timeout` is for all of it, in seconds. An answer `error: ...` is an answer. Raises
    ControlError.
    """
    deadline = monotonic() + timeout
    parts: list[bytes] = []
    size = 0
    with _asked(socket_path, line, timeout) as sock:
        while True:
            data = _receive(sock, socket_path, deadline, timeout)
            if not data:
                break
            size += len(data)
            if size > LONGEST_ANSWER:
                raise ControlError(
                    f"the answer of {socket_path} has no end", "it is no run of ours"
                )
            parts.append(data)
    if not parts:
        raise ControlError(f"{socket_path} closed without an answer", "the run may have ended")
    return b"".join(parts).decode(errors="backslashreplace")


def stream(
    socket_path: str, line: str, timeout: float = TIMEOUT, passed_to: int | None = None
) -> Iterator[str]:
    """Send `line` and yield the lines of the answer as they come, without their newlines.

    `timeout` is for the connection and the first line; then it waits for as long as the run
    lives, or as somebody reads the descriptor `passed_to`: BrokenPipeError tells that nobody
    does any more. Raises ControlError.
    """
    with _asked(socket_path, line, timeout) as sock:
        deadline: float | None = monotonic() + timeout
        rest = b""
        while data := _receive(sock, socket_path, deadline, timeout):
            *lines, rest = (rest + data).split(b"\n")
            for one in lines:
                deadline = None
                yield one.decode(errors="backslashreplace")
            if deadline is None and passed_to is not None:
                _wait(sock, passed_to)
            if len(rest) > LONGEST_EVENT:
                raise ControlError(f"a line of {socket_path} has no end", "it is no run of ours")


@contextlib.contextmanager
def _asked(path: str, line: str, timeout: float) -> Iterator[socket.socket]:
    """A connection over which `line` was sent."""
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise ControlError(f"{path!r} is too long for a socket", f"at most {LONGEST_PATH} bytes")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect(os.fsencode(path))
        except TimeoutError:
            raise _late(path, timeout) from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise ControlError(f"cannot connect to {path}: {reason}", "see: sentinel ls") from error
        try:
            sock.sendall(line.encode(errors="surrogateescape") + b"\n")
        except TimeoutError:
            raise _late(path, timeout) from None
        except OSError as error:
            # Who is refused may be told so before the line was read: the answer is there.
            if not isinstance(error, BrokenPipeError | ConnectionResetError):
                raise ControlError(f"cannot write to {path}: {error.strerror}") from error
        yield sock


def _receive(sock: socket.socket, path: str, deadline: float | None, timeout: float) -> bytes:
    """What came; empty at the end. `deadline` is monotonic, None: none."""
    left = None if deadline is None else deadline - monotonic()
    if left is not None and left <= 0:
        raise _late(path, timeout)
    sock.settimeout(left)
    try:
        return sock.recv(_CHUNK)
    except TimeoutError:
        raise _late(path, timeout) from None
    except ConnectionResetError:
        return b""
    except OSError as error:
        raise ControlError(f"cannot read from {path}: {error.strerror}") from error


def _wait(sock: socket.socket, passed_to: int) -> None:
    """Sleep until something comes. Raises BrokenPipeError when it could be passed to nobody."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    poll.register(passed_to, 0)  # what is always reported: an end without readers (poll(2))
    if any(fd == passed_to for fd, _ in poll.poll()):
        raise BrokenPipeError


def _late(path: str, timeout: float) -> Late:
    return Late(
        f"{path} did not answer within {timeout:g} s", "its guard may be stopped: see sentinel ls"
    )

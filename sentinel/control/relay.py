"""A question passed on to another run of the same owner, over that run's own socket."""

from __future__ import annotations

import errno

from sentinel.control.answers import error_line
from sentinel.control.codec import BEHALF, Question, quoted
from sentinel.control.session import CHUNK, Session
from sentinel.linux.sockets import Stream, connect
from sentinel.linux.watchlist import Watchlist
from sentinel.model.errors import KernelFileError, SentinelError

LONGEST_ANSWER = 1 << 20
"""Bytes; far more than any answer has."""


class Relay:
    """Passes one answer on. Lives on the watchlist, with itself as token, until it is closed."""

    def __init__(self, stream: Stream, session: Session, question: Question) -> None:
        """Over a connection to the other run, for `session`."""
        self._stream = stream
        self.session = session
        self._question = question
        self._board: Watchlist | None = None
        self._passed = 0

    def begin(self, board: Watchlist, uid: int) -> None:
        """Pass the question on, as that of `uid`. Raises SentinelError."""
        line = f"{BEHALF}{uid} {self._question.plain}\n".encode(errors="backslashreplace")
        if self._stream.send(line) != len(line):
            raise SentinelError(f"run {quoted(self._question.name)} does not listen", "try again")
        board.watch(self._stream.fd, self)
        self._board = board

    def woken(self, now: float) -> None:
        """A part of the answer is there, or its end."""
        data = self._stream.receive(CHUNK)
        if data is None:
            return
        self._passed += len(data)
        if data and self._passed <= LONGEST_ANSWER:
            self.session.relay(data, now)
            return
        self.close()
        ending = "" if self._passed else self._silence()
        self.session.answer(ending, now)

    @property
    def closed(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self._board is None

    def _silence(self) -> str:
        text = f"run {quoted(self._question.name)} ended before it answered; see: sentinel ls"
        return error_line(text, json=self._question.json)

    def close(self) -> None:
        """Leave the other run alone."""
        if self._board is not None:
            self._board.forget(self._stream.fd)
            self._board = None
        self._stream.close()


def reach(path: str, name: str, owners: frozenset[int]) -> Stream:
    """Connect to the socket of the run called `name`, one of `owners`. Raises SentinelError."""
    if not path:
        raise SentinelError(f"run {quoted(name)} has no socket", "start it without --no-socket")
    try:
        stream = connect(path)
    except KernelFileError as error:
        remedy = "try again" if error.errno == errno.EAGAIN else "see: sentinel ls"
        raise SentinelError(f"run {quoted(name)} cannot be reached: {error}", remedy) from error
    if stream.peer().uid in owners:
        return stream
    stream.close()
    raise SentinelError(f"run {quoted(name)} cannot be reached: {path} is somebody else's")

"""Many questions to many sockets at once; none of them is waited for.

The wire is the control socket's: one line there, the answer until the other side closes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import NamedTuple

from sentinel.linux.loop import Loop
from sentinel.linux.sockets import connect_to
from sentinel.model.errors import KernelFileError

LONGEST_ANSWER = 1 << 20
"""Bytes of an answer; a run's own is a few KiB, a list of 200 processes some 20 KiB."""

LONGEST_LINE = 64 << 10
"""Bytes of one line of a stream."""

MOST_AT_ONCE = 16 << 10
"""Bytes taken from one stream at a time, so that a flood of one does not starve the others."""


class Address(NamedTuple):
    """The socket of a run and whose it must be: a path is only what somebody wrote down."""

    path: str
    uid: int


class Talk:
    """One connection: the question that was sent and what came of it so far."""

    def __init__(self, address: Address, line: str, until: float | None) -> None:
        """Connect and send; `until`, in monotonic seconds, is when its patience ends.

        Raises KernelFileError when nobody listens, or somebody else than the run's user.
        """
        self.until = until
        self._buffer = b""
        self._stream = connect_to(address.path, address.uid)
        self.fd = self._stream.fd
        self._stream.send(f"{line}\n".encode())

    def take(self) -> bool:
        """Read what there is, a bounded piece; False when the other side has closed or failed."""
        data = self._stream.receive(MOST_AT_ONCE)
        if data is None:
            return True
        self._buffer += data
        return bool(data) and len(self._buffer) <= LONGEST_ANSWER

    def lines(self) -> list[str]:
        """The complete lines that came since the last call; of a too long one there is none."""
        *whole, self._buffer = self._buffer.split(b"\n")
        if len(self._buffer) > LONGEST_LINE:
            self._buffer = b""
        return [line.decode(errors="replace") for line in whole]

    def text(self) -> str:
        """All that came."""
        return self._buffer.decode(errors="replace")

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()


Answered = Callable[[str, str], None]
"""Told the answer and, when there is none, why; the other one is empty."""

Heard = Callable[[str], None]
Over = Callable[[], None]


class Asker:
    """Questions under way and streams that are open, in one loop."""

    def __init__(self, loop: Loop, patience: float) -> None:
        """`patience`: seconds that an answer may take."""
        self._loop = loop
        self._patience = patience
        self._asked: dict[Talk, Answered] = {}
        self._streams: dict[Talk, tuple[Heard, Over]] = {}

    def ask(self, address: Address, line: str, answered: Answered) -> None:
        """Send `line`; `answered` is called once, later or, when nobody listens, at once."""
        try:
            talk = Talk(address, line, self._loop.now() + self._patience)
        except (KernelFileError, OSError) as error:
            answered("", _why(error))
            return
        self._asked[talk] = answered
        self._loop.watch(talk.fd, talk)

    def listen(self, address: Address, line: str, heard: Heard, over: Over) -> Talk | None:
        """Open a stream: `heard` gets each line, `over` is called when it ends; None: refused."""
        try:
            talk = Talk(address, line, None)
        except (KernelFileError, OSError):
            return None
        self._streams[talk] = heard, over
        self._loop.watch(talk.fd, talk)
        return talk

    def serve(self, ready: set[object]) -> bool:
        """Take what came from the talks in `ready`; whether a stream brought something."""
        told = False
        for token in ready:
            if not isinstance(token, Talk):
                continue
            if token in self._asked and not token.take():
                self._finish(token, "it closed without an answer")
            elif token in self._streams:
                told = self._follow(token) or told
        return told

    def expire(self, now: float) -> None:
        """Give up what has had its time."""
        for talk in list(self._asked):
            if talk.until is not None and talk.until <= now:
                self._finish(talk, f"no answer within {self._patience:g} s", late=True)

    @property
    def deadline(self) -> float | None:
        """When the next question runs out of time; None: none is under way."""
        return min((talk.until for talk in self._asked if talk.until is not None), default=None)

    def drop(self, talk: Talk) -> None:
        """Close a stream without a word."""
        if self._streams.pop(talk, None) is not None:
            self._loop.forget(talk.fd)
            talk.close()

    def close(self) -> None:
        """Close everything."""
        for talk in (*self._asked, *self._streams):
            self._loop.forget(talk.fd)
            talk.close()
        self._asked.clear()
        self._streams.clear()

    def _finish(self, talk: Talk, why: str, *, late: bool = False) -> None:
        answered = self._asked.pop(talk)
        self._loop.forget(talk.fd)
        talk.close()
        text = "" if late else talk.text().strip()
        answered(text, "" if text else why)

    def _follow(self, talk: Talk) -> bool:
        heard, over = self._streams[talk]
        goes_on = talk.take()
        lines = talk.lines()
        for line in lines:
            heard(line)
        if not goes_on:
            self.drop(talk)
            over()
        return bool(lines) or not goes_on


def _why(error: KernelFileError | OSError) -> str:
    if isinstance(error, KernelFileError) and error.op == "trust":
        return "another user listens there"
    if error.errno == errno.EAGAIN:
        return "too many others are asking"
    return os.strerror(error.errno or errno.EIO)


def ask_now(address: Address, line: str, patience: float) -> str:
    """Ask one run and wait for its answer; empty when there is none within `patience` seconds."""
    loop = Loop()
    asker = Asker(loop, patience)
    answers: list[str] = []
    try:
        asker.ask(address, line, lambda text, why: answers.append("" if why else text))
        while not answers:
            asker.serve(loop.wait(asker.deadline))
            asker.expire(loop.now())
        return answers[0]
    finally:
        asker.close()
        loop.close()

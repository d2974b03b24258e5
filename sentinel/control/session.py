"""One connection: a line in, an answer out, and nothing of it ever waits.

Nobody is trusted to be quick, to be brief, or to be there at all: the line is bounded, what is
sent goes out as the reader takes it, and each phase but the reading of events has its patience.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from sentinel.control.codec import LONGEST_LINE, Malformed, nearest, quoted
from sentinel.control.feed import Feed
from sentinel.linux.sockets import Peer, Stream
from sentinel.linux.watchlist import Watchlist

CHUNK = 1 << 14
"""Bytes sent or thrown away at a time."""


class Phase(Enum):
    """What the connection is about."""

    ASKING = "the line is not complete"
    WORKING = "the answer is being made"
    STREAMING = "events are told until somebody closes"
    ANSWERING = "the answer is being sent"
    PARTING = "all is sent; what still comes is thrown away, so that the answer is not lost"
    OVER = "nothing is left to do"


PATIENCE = {Phase.ASKING: 60.0, Phase.WORKING: 10.0, Phase.ANSWERING: 30.0, Phase.PARTING: 1.0}
"""Seconds without progress after which a connection is given up."""


class Work(Protocol):
    """What makes the answer: closed when nobody waits for it any more."""

    def close(self) -> None:
        """Stop, and give back what is held."""


class Session:
    """A connection. Lives on its server's watchlist, with itself as token, until it is over."""

    def __init__(self, stream: Stream, door: object, board: Watchlist, now: float) -> None:
        """Begin to wait for the line. `door` is where it came in."""
        self.door = door
        self._stream = stream
        self._board = board
        self._line = bytearray()
        self._out = b""
        self._watched = (True, False)
        self._input_ended = False
        self._part_gently = False
        self.peer: Peer = stream.peer()
        self.phase = Phase.ASKING
        self.feed = Feed()
        self.work: Work | None = None
        self.touched = now
        self.spoke = False
        self.json = False
        board.watch(stream.fd, self)

    def due(self) -> float | None:
        """When patience ends (monotonic seconds); None: never."""
        patience = PATIENCE.get(self.phase)
        return None if patience is None else self.touched + patience

    def read_line(self, now: float) -> bytes | None:
        """The line once it is there; None until then. Raises Malformed for what will be none."""
        data = self._stream.receive(LONGEST_LINE + 1 - len(self._line))
        if data is None:
            return None
        self._line += data
        self.spoke = self.spoke or bool(data)
        end = self._line.find(b"\n")
        if 0 <= end < LONGEST_LINE:
            return bytes(self._line[: end + 1])
        if len(self._line) > LONGEST_LINE:
            self._part_gently = True
            raise Malformed(f"the line is longer than {LONGEST_LINE} bytes", _hint(self._line))
        if not data:
            self._input_ended = True
            if not self._line:
                self.close()
                return None
            what = f"the line {quoted(bytes(self._line))} does not end with a newline"
            raise Malformed(what, _hint(self._line))
        if len(self._line) == len(data):
            self.touched = now  # a first byte shows good will; a drip of them does not
        return None

    def refuse(self, text: str, now: float) -> None:
        """Answer before anything was asked; the line may still come, and is thrown away."""
        self._part_gently = True
        self.answer(text, now)

    def answer(self, text: str, now: float) -> None:
        """Send the answer, then close."""
        self._out += text.encode(errors="backslashreplace")
        self.phase = Phase.ANSWERING
        self._leave_work()
        self.touched = now
        self.flush(now)

    def relay(self, data: bytes, now: float) -> None:
        """Send a part of an answer that is passed on; `answer("")` ends it."""
        self._out += data
        self.touched = now
        self._push()
        self._rewatch()

    def stream(self) -> None:
        """Tell events from now on: what stands in `feed`, and what will."""
        self.phase = Phase.STREAMING

    def work_on(self, work: Work) -> None:
        """The answer is being made."""
        self.phase = Phase.WORKING
        self.work = work

    def flush(self, now: float) -> None:
        """Send what can be sent, and go on to the next phase when all is."""
        before = len(self._out)
        sent_all = self._push()
        if len(self._out) != before:
            self.touched = now
        if sent_all and self.phase is Phase.ANSWERING:
            self._part(now)
        self._rewatch()

    def woken(self, now: float) -> None:
        """Something is ready, and it is not a line that is waited for."""
        if self.phase is Phase.PARTING:
            self._throw_away()
            if self._input_ended:
                self.close()
            return
        if self._input_ended and not self._out and not self.feed:
            self.close()  # both directions are closed: only that is still reported
            return
        if not self._input_ended:
            self._throw_away()
        self.flush(now)

    def close(self) -> None:
        """Give the connection up."""
        if self.phase is not Phase.OVER:
            self.phase = Phase.OVER
            self._board.forget(self._stream.fd)
            self._stream.close()
            self._out = b""
        self._leave_work()

    def _leave_work(self) -> None:
        if self.work is not None:
            self.work.close()
            self.work = None

    def _push(self) -> bool:
        """Send as much as is taken; whether nothing is left."""
        while self.phase is not Phase.OVER:
            if not self._out:
                self._out = self.feed.take()
                if not self._out:
                    return True
            sent = self._stream.send(self._out[:CHUNK])
            if sent is None:
                self.close()
            elif not sent:
                return False
            else:
                self._out = self._out[sent:]
        return True

    def _part(self, now: float) -> None:
        """Close; gently after an answer to a line that is still being written.

        Input that nobody has read would make the end of the answer a reset of the connection.
        """
        self._throw_away()
        if self._part_gently and not self._input_ended:
            self.phase = Phase.PARTING
            self.touched = now
            self._stream.finish()
        else:
            self.close()

    def _throw_away(self) -> None:
        """Read what nobody asked for."""
        data = self._stream.receive(CHUNK)
        self.spoke = self.spoke or bool(data)
        self._input_ended = self._input_ended or data == b""

    def _rewatch(self) -> None:
        """Wait for what matters now: input that has ended would be ready for ever."""
        if self.phase is Phase.OVER:
            return
        wanted = (not self._input_ended, bool(self._out or self.feed))
        if wanted != self._watched:
            self._watched = wanted
            self._board.watch(self._stream.fd, self, reading=wanted[0], writing=wanted[1])


def _hint(line: bytearray) -> str:
    words = bytes(line[:100]).replace(b"\0", b" ").decode(errors="replace").split()
    near = nearest(words[0]) if words else ""
    return f"send one line, like {near}" if near else "send one line with a verb, like status"

"""One connection on a made-up stream: patience, progress, and when it is over."""

from __future__ import annotations

from typing import cast

import pytest

from sentinel.control.codec import LONGEST_LINE, Malformed
from sentinel.control.session import PATIENCE, Phase, Session
from sentinel.linux.sockets import Peer, Stream
from sentinel.linux.watchlist import Watchlist


class Wire:
    """A stream that takes `room` bytes and brings what `coming` says; watched, as it is told."""

    fd = 7

    def __init__(self) -> None:
        self.coming: list[bytes] = []
        self.room = 0
        self.taken = b""
        self.gone = self.finished = self.closed = False
        self.watched: tuple[bool, bool] | None = None

    def peer(self) -> Peer:
        """Root."""
        return Peer(1, 0)

    def receive(self, size: int) -> bytes | None:
        """The next piece; None while there is none, empty at the end."""
        if not self.coming:
            return None
        piece, rest = self.coming[0][:size], self.coming[0][size:]
        self.coming[:1] = [rest] if rest else []
        return piece

    def send(self, data: bytes) -> int | None:
        """Take what there is room for."""
        if self.gone:
            return None
        taken = data[: self.room]
        self.room -= len(taken)
        self.taken += taken
        return len(taken)

    def finish(self) -> None:
        """Nothing more will come."""
        self.finished = True

    def close(self) -> None:
        """Given up."""
        self.closed = True

    def watch(self, fd: int, token: object, *, reading: bool = True, writing: bool = False) -> None:
        """What is waited for."""
        assert (fd, isinstance(token, Session)) == (self.fd, True)
        self.watched = (reading, writing)

    def forget(self, fd: int) -> None:
        """Nothing is."""
        assert fd == self.fd
        self.watched = None


class Making:
    """An answer in the making."""

    closed = False

    def close(self) -> None:
        """Nobody waits for it any more."""
        self.closed = True


BEGAN = 1000.0


@pytest.fixture
def wire() -> Wire:
    """An open connection on which nothing happens."""
    return Wire()


@pytest.fixture
def session(wire: Wire) -> Session:
    """The session of the wire."""
    return Session(cast("Stream", wire), object(), cast("Watchlist", wire), BEGAN)


def test_progress_buys_a_slow_reader_time(wire: Wire, session: Session) -> None:
    """Patience counts from the last byte that it took, not from the first; a stuck one has none."""
    patience = PATIENCE[Phase.ANSWERING]
    session.answer("0123456789", BEGAN + 5)
    assert (session.due(), wire.watched) == (BEGAN + 5 + patience, (True, True))
    wire.room = 4
    session.woken(BEGAN + 20)
    assert (wire.taken, session.due()) == (b"0123", BEGAN + 20 + patience)
    session.woken(BEGAN + 40)
    assert session.due() == BEGAN + 20 + patience
    wire.room = 6
    session.woken(BEGAN + 49)
    assert (wire.taken, wire.closed, session.phase) == (b"0123456789", True, Phase.OVER)


def test_what_is_passed_on_is_progress(wire: Wire, session: Session) -> None:
    """Another run's answer may be long in coming, piece by piece."""
    work = Making()
    session.work_on(work)
    assert session.due() == BEGAN + PATIENCE[Phase.WORKING]
    wire.room = 3
    session.relay(b"abc", BEGAN + 9)
    assert (session.due(), wire.taken) == (BEGAN + 9 + PATIENCE[Phase.WORKING], b"abc")
    session.answer("", BEGAN + 10)
    assert (work.closed, wire.closed) == (True, True)


def test_who_has_said_all_and_got_all_is_let_go(wire: Wire, session: Session) -> None:
    """A reader of events who has closed its side reads on, until the other side is closed, too."""
    session.stream()
    wire.coming = [b""]
    session.woken(BEGAN)
    assert (session.phase, wire.watched) == (Phase.STREAMING, (False, False))
    session.feed.add(b"news\n")
    session.woken(BEGAN + 1)
    assert (session.phase, wire.watched) == (Phase.STREAMING, (False, True))
    wire.room = 100
    session.woken(BEGAN + 2)
    assert (wire.taken, wire.closed, wire.watched) == (b"news\n", False, (False, False))
    session.woken(BEGAN + 3)
    assert (session.phase, wire.closed, wire.watched) == (Phase.OVER, True, None)


def test_who_does_not_read_any_more_is_let_go(wire: Wire, session: Session) -> None:
    """With what was being made for it."""
    work = Making()
    session.work_on(work)
    wire.gone = True
    session.relay(b"abc", BEGAN)
    assert (session.phase, wire.closed, work.closed) == (Phase.OVER, True, True)
    session.close()


def test_an_error_waits_for_who_still_writes(wire: Wire, session: Session) -> None:
    """For a second: input that nobody has read would turn the answer into a reset."""
    wire.room = 100
    wire.coming = [b"x" * (LONGEST_LINE + 1)]
    with pytest.raises(Malformed):
        session.read_line(BEGAN)
    session.answer("error\n", BEGAN + 1)
    assert (session.phase, wire.finished, wire.closed) == (Phase.PARTING, True, False)
    assert session.due() == BEGAN + 1 + PATIENCE[Phase.PARTING]
    wire.coming = [b"more"]
    session.woken(BEGAN + 1.5)
    assert session.phase is Phase.PARTING
    wire.coming = [b""]
    session.woken(BEGAN + 1.6)
    assert (session.phase, wire.closed) == (Phase.OVER, True)

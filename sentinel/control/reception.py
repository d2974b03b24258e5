"""Who is connected: let in, bounded, given up when patience ends."""

from __future__ import annotations

from collections.abc import Callable

from sentinel.control.answers import error_line
from sentinel.control.session import Phase, Session
from sentinel.linux.sockets import Listener, NoRoom, descriptors_allowed
from sentinel.linux.watchlist import Watchlist

MOST = 200
"""Connections at a time."""
LEAST = 4
"""Connections for which there is room whatever RLIMIT_NOFILE says."""
MOST_STREAMS = 64
"""Connections that may be told events: the others must leave room for a stop."""
MOST_PARTING = 16
"""Connections that may still throw input away; one more is closed at once."""
ROOM_AGAIN_AFTER = 0.1
"""Seconds until a listener is tried again for which there was no descriptor left."""


class Reception:
    """All connections, in the order in which they came."""

    def __init__(self, board: Watchlist, most: int | None = None) -> None:
        """Nobody is connected. `most`: half of the descriptors, and no more than MOST."""
        self._board = board
        self._most = most or max(LEAST, min(MOST, descriptors_allowed() // 2 - 32))
        self._sessions: dict[Session, None] = {}
        self._closed_until: dict[Listener, float] = {}

    def __len__(self) -> int:
        """How many are connected."""
        return len(self._sessions)

    def admit(self, listener: Listener, now: float) -> Session | None:
        """Let the next one in; None when nobody waits, or there is no room.

        Where there is none, the one who has been silent longest goes, else the newcomer.
        """
        try:
            stream = listener.accept()
        except NoRoom:
            if not self._dismiss_silent(now):
                self._board.forget(listener.fd)
                self._closed_until[listener] = now + ROOM_AGAIN_AFTER
            return None
        if stream is None:
            return None
        if len(self._sessions) >= self._most and not self._dismiss_silent(now):
            stream.send(b"error: too many connections; try again\n")
            stream.close()
            return None
        session = Session(stream, listener, self._board, now)
        self._sessions[session] = None
        return session

    def _dismiss_silent(self, now: float) -> bool:
        """Close the connection that has been silent longest; whether there was one."""
        for session in self._sessions:
            if session.phase is Phase.ASKING:
                session.answer("error: too many connections, and this one says nothing\n", now)
                session.close()
                del self._sessions[session]
                return True
        return False

    def settle(self, session: Session) -> None:
        """After something happened to `session`: forget it when it is over."""
        if session.phase is Phase.PARTING:
            parting = [one for one in self._sessions if one.phase is Phase.PARTING]
            if len(parting) > MOST_PARTING:
                session.close()
        if session.phase is Phase.OVER:
            self._sessions.pop(session, None)

    def due(self) -> float | None:
        """When patience with somebody ends (monotonic seconds)."""
        dues = [due for session in self._sessions if (due := session.due()) is not None]
        return min([*dues, *self._closed_until.values()], default=None)

    def give_up(self, now: float) -> None:
        """Close those who had their time; listen again where there was no room."""
        for session in list(self._sessions):
            due = session.due()
            if due is not None and due <= now:
                if session.phase is Phase.ASKING:
                    session.answer("error: no line came; send one, like status\n", now)
                elif session.phase is Phase.WORKING:
                    late = "the answer took too long; try again"
                    session.answer(error_line(late, json=session.json), now)
                session.close()
                self.settle(session)
        for listener, at in list(self._closed_until.items()):
            if at <= now:
                del self._closed_until[listener]
                self._board.watch(listener.fd, listener)

    def leave(self, listener: Listener) -> None:
        """Listen there no more."""
        self._closed_until.pop(listener, None)
        self._board.forget(listener.fd)

    def close(self, last_word: Callable[[Session], None]) -> None:
        """Close every connection after its last word."""
        for session in list(self._sessions):
            last_word(session)
            session.close()
        self._sessions.clear()

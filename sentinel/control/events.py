"""What happens in a run, told to those who asked to be told."""

from __future__ import annotations

from sentinel.control import answers
from sentinel.control.desk import Attended
from sentinel.control.session import Phase, Session
from sentinel.model.outcome import Moment, Outcome

_END = "over"
"""The last moment of a timeline; the outcome that comes with it says it better."""

Times = tuple[float, float]
"""Monotonic seconds, and seconds since the epoch."""


class Events:
    """The readers of events. Moments are taken down as they come and told when there is time.

    The guard is in the middle of something when it tells of a moment, of a stop for one.
    """

    def __init__(self) -> None:
        """Nobody listens."""
        self._readers: dict[Session, Attended] = {}
        self._pending: list[tuple[Attended, Moment, Times]] = []

    def __len__(self) -> int:
        """How many are told."""
        return len(self._readers)

    def join(self, session: Session, attended: Attended, now: float) -> None:
        """Tell `session` from now on."""
        session.stream()
        self._readers[session] = attended
        self._send(session, answers.hello_line(attended.status(now)), now)

    def told(self, attended: Attended, moment: Moment, times: Times) -> None:
        """Take a moment down."""
        if self._readers and moment.what != _END:
            self._pending.append((attended, moment, times))

    def tell(self, now: float) -> None:
        """Tell what was taken down."""
        pending, self._pending = self._pending, []
        for attended, moment, times in pending:
            readers = self._readers_of(attended)
            if readers:
                line = answers.event_line(attended.status(now), moment, times)
                for session in readers:
                    self._send(session, line, now)

    def over(self, attended: Attended, outcome: Outcome, times: Times) -> None:
        """Tell the end, after which nothing is told of this run any more."""
        self.tell(times[0])
        readers = self._readers_of(attended)
        line = answers.over_line(outcome, times) if readers else ""
        for session in readers:
            self._readers.pop(session, None)
            session.feed.add(line.encode())
            session.answer("", times[0])

    def _readers_of(self, attended: Attended) -> list[Session]:
        """Who is still there to be told of it."""
        for session in list(self._readers):
            if session.phase is not Phase.STREAMING:
                del self._readers[session]
        return [session for session, about in self._readers.items() if about is attended]

    def _send(self, session: Session, line: str, now: float) -> None:
        session.feed.add(line.encode())
        session.flush(now)

"""All that comes and goes on the sockets of one guard, rationed.

Everything is behind one epoll descriptor, so that the guard's own wait sees one number and none
of the traffic. With nobody connected nothing is due and nothing wakes. When the allowance is
used up, that descriptor is put aside for some milliseconds, and those who flood wait in
connect(2) rather than in the guard's way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import Protocol

from sentinel.control import answers
from sentinel.control.allowance import Allowance
from sentinel.control.codec import Malformed, parse_line
from sentinel.control.reception import Reception
from sentinel.control.relay import Relay
from sentinel.control.session import Phase, Session
from sentinel.linux.loop import Loop
from sentinel.linux.sockets import BACKLOG, Listener
from sentinel.linux.watchlist import Watchlist
from sentinel.model.request import OVER

AT_A_TIME = 16
"""Descriptors asked for at a time: how often the clock is looked at beside the epoll."""

Steps = Generator[None, None, str]
"""An answer that is made in steps."""


class Host(Protocol):
    """Whose guests these are."""

    def admitted(self, session: Session, now: float) -> None:
        """Somebody has connected; may be refused at once."""

    def asked(self, session: Session, line: bytes, now: float) -> None:
        """A line is there to be answered."""

    def heard(self, session: Session) -> None:
        """Something came over `session`, or it ended."""


class Traffic:
    """Connections, and the answers that are being made. Lives in `loop` with itself as token."""

    def __init__(self, loop: Loop, host: Host, clock: Callable[[], float]) -> None:
        """Begin with nobody. `clock` is the loop's, for what the work costs."""
        self.board = Watchlist()
        self._loop = loop
        self._host = host
        self._reception = Reception(self.board)
        self._allowance = Allowance(clock)
        self._reported: deque[object] = deque()
        self._steps: deque[tuple[Session, Steps]] = deque()
        self._rest: float | None = None
        loop.watch(self.board.fd, self)

    def work(self, session: Session, steps: Steps) -> None:
        """Make the answer of `session` in steps, in turn with everything else."""
        session.work_on(steps)
        self._steps.append((session, steps))

    def leave(self, listener: Listener) -> None:
        """Let nobody in there any more."""
        self._reception.leave(listener)
        self._reported = deque(token for token in self._reported if token is not listener)

    def deadline(self) -> float | None:
        """When `turn` must be called at the latest; None with nobody connected."""
        if self._rest is not None:
            return self._rest
        return 0.0 if self._steps or self._reported else self._reception.due()

    def turn(self, now: float, ready: set[object]) -> None:
        """Serve as many as the allowance has time for."""
        if self._rest is not None:
            if now < self._rest:
                return
            self._rest = None
            self._loop.watch(self.board.fd, self)
        due = self.deadline()
        if self not in ready and (due is None or now < due):
            return
        self._allowance.begin()
        self._serve(now)
        self._reception.give_up(now)
        rest = self._allowance.end()
        if rest is not None and (self._steps or self._reported or self in ready):
            self._loop.forget(self.board.fd)
            self._rest = rest

    def _serve(self, now: float) -> None:
        """Those who are ready, then a step of each answer, until neither or no time is left."""
        while True:
            if not self._reported:
                self._reported.extend(self.board.ready(AT_A_TIME))
            if not self._reported and not self._steps:
                return
            for _ in range(len(self._reported)):
                self._wake(self._reported.popleft(), now)
                if not self._allowance.is_left():
                    return
            for _ in range(len(self._steps)):
                self._step(*self._steps.popleft(), now)
                if not self._allowance.is_left():
                    return

    def _wake(self, token: object, now: float) -> None:
        """Whoever was reported may have been closed since, on behalf of another."""
        if isinstance(token, Listener):
            session = self._reception.admit(token, now)
            if session is not None:
                self._host.admitted(session, now)
                self._converse(session, now)
        elif isinstance(token, Session) and token.phase is not Phase.OVER:
            self._converse(token, now)
        elif isinstance(token, Relay) and not token.closed:
            token.woken(now)
            self._reception.settle(token.session)

    def _converse(self, session: Session, now: float) -> None:
        try:
            if session.phase is not Phase.ASKING:
                session.woken(now)
            elif (line := session.read_line(now)) is not None:
                self._host.asked(session, line, now)
        except Malformed as error:
            session.answer(answers.error_line(error, json=error.json), now)
        except OSError:
            session.close()  # a connection that fails as no other does costs itself alone
        self._host.heard(session)
        self._reception.settle(session)

    def _step(self, session: Session, steps: Steps, now: float) -> None:
        """One step of an answer that somebody still waits for."""
        if session.phase is not Phase.WORKING:
            return
        try:
            next(steps)
        except StopIteration as end:
            session.answer(str(end.value), now)
            self._reception.settle(session)
        else:
            self._steps.append((session, steps))

    def close(self, now: float) -> None:
        """Answer those who are there, or on their way in, for the last time, and close."""
        for token in self.board.ready(BACKLOG):
            if isinstance(token, Listener):
                self._admit_all(token, now)
        self._reception.close(lambda session: self._last_word(session, now))
        self._loop.forget(self.board.fd)
        self.board.close()

    def _admit_all(self, listener: Listener, now: float) -> None:
        for _ in range(BACKLOG):
            session = self._reception.admit(listener, now)
            if session is None:
                return
            self._host.admitted(session, now)

    def _last_word(self, session: Session, now: float) -> None:
        """What is asked now has no answer any more; what was answered is sent as far as it goes."""
        if session.phase is Phase.ASKING:
            try:
                line = session.read_line(now)
                if line is not None:
                    json = parse_line(line).json
                    session.answer(answers.error_line(OVER, json=json), now)
            except Malformed as error:
                session.answer(answers.error_line(error, json=error.json), now)
        elif session.phase is Phase.WORKING:
            session.answer(answers.error_line(OVER, json=session.json), now)

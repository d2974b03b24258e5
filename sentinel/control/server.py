"""The control sockets of the runs of one guard: an attendant in its loop.

Who connects, what they ask, and who answers: this run, or another of the same owner. Nothing
that is asked, however it is asked, ends the server or the guard.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from sentinel.control import answers
from sentinel.control.codec import Question, parse_line, quoted
from sentinel.control.desk import Asked, Attended, Desk, Exposition, Neighbour
from sentinel.control.doorway import Doorway
from sentinel.control.events import Events
from sentinel.control.reception import MOST_STREAMS
from sentinel.control.relay import Relay, reach
from sentinel.control.session import Session
from sentinel.control.traffic import Traffic
from sentinel.control.wellknown import WELL_KNOWN, Succession
from sentinel.linux.clock import wall
from sentinel.linux.loop import Loop
from sentinel.linux.runtime import Place
from sentinel.linux.sockets import Listener
from sentinel.model.errors import SentinelError
from sentinel.model.outcome import Moment, Outcome
from sentinel.model.request import SetLimit
from sentinel.model.snapshot import Reading
from sentinel.model.spec import Observation
from sentinel.model.status import Run

NOT_PERMITTED = "not permitted"

MOST_STRANGERS = 100
"""Users who are told about: one line each, and not one for each of their connections."""

Hear = Callable[[str], None]
"""Tells the user of the run one line."""


class Settings(NamedTuple):
    """Who may speak and where. `places`: of the runtime directory; none: this user's own.

    `well_known`: the path that every run knows; empty: none.
    """

    observation: Observation = Observation()
    well_known: str = WELL_KNOWN
    places: Sequence[Place] = ()


class ControlServer:
    """Registers runs and answers for them. Fulfils guard.attendant.Attendant."""

    def __init__(self, settings: Settings, hear: Hear, exposition: Exposition) -> None:
        """Open nothing yet. `exposition` writes a run's metrics as Prometheus reads them."""
        self._settings = settings
        self._hear = hear
        self._desk = Desk(os.geteuid(), self._neighbours, exposition)
        self._permitted = {0, os.geteuid(), *settings.observation.allow_uids}
        self._strangers: set[int] = set()
        self._doorways: list[Doorway] = []
        self._events = Events()
        self._traffic: Traffic | None = None
        self._succession: Succession | None = None
        self._common: Listener | None = None
        self._failed = False

    def begin(self, loop: Loop, runs: Sequence[Run], now: float) -> None:
        """Register the runs, and listen for each and on the well-known path."""
        observation = self._settings.observation
        for run in runs:
            doorway = Doorway(Attended(run), self._settings.places)
            self._doorways.append(doorway)
            doorway.open(observation, self._hear, now)
        self._clear_away()
        if not observation.socket or not runs:
            return
        self._traffic = Traffic(loop, self, loop.now)
        for doorway in self._doorways:
            if doorway.listener is not None:
                self._traffic.board.watch(doorway.listener.fd, doorway.listener)
        if self._settings.well_known:
            places = self._settings.places
            self._succession = Succession(self._settings.well_known, loop, places)
            self._follow(self._succession.begin(now))

    def turn(self, now: float, ready: set[object]) -> None:
        """Answer; take the well-known path when its turn has come."""
        self._events.tell(now)
        if self._succession is not None:
            is_ready = self._succession in ready
            self._follow(self._succession.turn(now, ready=is_ready))
        if self._traffic is not None:
            self._traffic.turn(now, ready)
        self._events.tell(now)  # what was asked for just now is an event, too

    def deadline(self) -> float | None:
        """When `turn` must be called at the latest; None with nobody connected."""
        times = [] if self._succession is None else [self._succession.due]
        if self._traffic is not None:
            times.append(self._traffic.deadline())
        return min((at for at in times if at is not None), default=None)

    def told(
        self,
        run: Run,
        moment: Moment,
        reading: Reading | None,  # noqa: ARG002 - a reader of events asks for more itself
        now: float,
    ) -> None:
        """Remember a moment for those who are told events."""
        doorway = self._doorway(run)
        if doorway is not None and len(self._events):
            self._events.told(doorway.attended, moment, (now, wall()))

    def ended(self, run: Run, outcome: Outcome, now: float) -> None:
        """Tell the end, and be found no more. After the last run the path is passed on."""
        doorway = self._doorway(run)
        if doorway is None:
            return
        self._events.over(doorway.attended, outcome, (now, wall()))
        if self._doorways == [doorway]:
            self._finish(now)
        elif doorway.listener is not None and self._traffic is not None:
            self._traffic.leave(doorway.listener)
        self._doorways.remove(doorway)
        doorway.close()

    def close(self) -> None:
        """Give everything back."""
        self._finish(0.0)
        while self._doorways:
            self._doorways.pop().close()

    def admitted(self, session: Session, now: float) -> None:
        """Refuse strangers, whatever they are going to say."""
        if session.peer.uid not in self._permitted:
            session.refuse(answers.error_line(NOT_PERMITTED), now)

    def heard(self, session: Session) -> None:
        """Tell about a stranger who spoke. Another's run that only looks who is here says nothing.

        They are told about once per user, so that nobody can fill the log.
        """
        uid = session.peer.uid
        if not session.spoke or uid in self._permitted or uid in self._strangers:
            return
        if len(self._strangers) < MOST_STRANGERS:
            self._strangers.add(uid)
            self._hear(f"uid {uid} is not permitted to ask this run; --allow-uid {uid} would")

    def asked(self, session: Session, line: bytes, now: float) -> None:
        """Answer one line, or begin to."""
        question = parse_line(line)
        session.json = question.json
        try:
            self._answer(session, question, now)
        except SentinelError as error:
            session.answer(answers.error_line(error, json=question.json), now)
        except Exception as error:  # noqa: BLE001 - told once; a bad question ends nothing
            what = f"{question.verb} failed: {type(error).__name__}: {quoted(str(error))}"
            session.answer(answers.error_line(what, json=question.json), now)
            if not self._failed:
                self._failed = True
                self._hear(f"control socket: {what}")

    def _answer(self, session: Session, question: Question, now: float) -> None:
        uid = self._asker(session, question)
        attended = self._meant(session, question)
        if self._traffic is None:
            return
        if attended is None:
            self._pass_on(session, question, uid, self._desk.find(question.name))
        elif question.verb == "events":
            if len(self._events) >= MOST_STREAMS:
                raise SentinelError(f"{MOST_STREAMS} are told events already", "try again later")
            self._events.join(session, attended, now)
        else:
            answer = self._desk.answer(Asked(question, attended, uid, now))
            if isinstance(answer, str):
                session.answer(answer, now)
            else:
                self._traffic.work(session, answer)
            if isinstance(question.request, SetLimit):
                self._update(attended, now)

    def _asker(self, session: Session, question: Question) -> int:
        """On whose behalf it is asked. Raises SentinelError for one who may not."""
        uid = session.peer.uid
        if question.behalf is None:
            return uid
        believed = uid in (0, os.geteuid())
        if not believed or question.behalf not in self._permitted:
            raise SentinelError(NOT_PERMITTED)
        return question.behalf

    def _meant(self, session: Session, question: Question) -> Attended | None:
        """The run of this process that is asked about; None when it is another's."""
        for doorway in self._doorways:
            if question.name in ("", doorway.attended.run.name) and (
                question.name or doorway.listener is session.door or self._is_common(session)
            ):
                return doorway.attended
        return None

    def _is_common(self, session: Session) -> bool:
        return self._succession is not None and session.door is self._succession.listener

    def _pass_on(self, session: Session, question: Question, uid: int, to: Neighbour) -> None:
        if self._traffic is None or question.behalf is not None:
            raise SentinelError(f"run {quoted(question.name)} has just ended", "see: sentinel ls")
        stream = reach(to.socket, question.name, frozenset({0, os.geteuid()}))
        relay = Relay(stream, session, question)
        session.work_on(relay)
        relay.begin(self._traffic.board, uid)

    def _update(self, attended: Attended, now: float) -> None:
        for doorway in self._doorways:
            if doorway.attended is attended:
                doorway.update(now)

    def _follow(self, warning: str) -> None:
        """After the well-known path was tried for: let guests in there, or say why not."""
        if self._succession is None or self._traffic is None:
            return
        listener = self._succession.listener
        if listener is not None and listener is not self._common:
            self._common = listener
            self._traffic.board.watch(listener.fd, listener)
        if warning:
            own = ", ".join(doorway.path for doorway in self._doorways if doorway.path)
            self._hear(f"{warning}; this run listens on {own}" if own else warning)

    def _finish(self, now: float) -> None:
        """Be found no more, answer those who are there, and close."""
        if self._succession is not None and self._succession.listener is not None:
            self._succession.listener.hide()
        for doorway in self._doorways:
            if doorway.listener is not None:
                doorway.listener.hide()
        if self._traffic is not None:
            self._traffic.close(now)
            self._traffic = None
        if self._succession is not None:
            self._succession.close()
            self._succession = None

    def _clear_away(self) -> None:
        """Remove what dead runs left in the runtime directory; what is in the way stays."""
        from sentinel.control.registry import sweep

        with suppress(OSError):
            sweep(self._settings.places)

    def _neighbours(self) -> Sequence[Neighbour]:
        from sentinel.control.registry import live

        return live(self._settings.places)

    def _doorway(self, run: Run) -> Doorway | None:
        return next((one for one in self._doorways if one.attended.run is run), None)

"""What each verb does: a question about a run, from somebody who may ask, to an answer.

An answer is text, or work that makes it in steps, or an entry: the run that must be asked
instead, or the wish to be told events.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple, Protocol

from sentinel.control import answers
from sentinel.control.codec import Question, quoted
from sentinel.control.tree import survey, tree_json, tree_text
from sentinel.linux.census import resident
from sentinel.model.errors import SentinelError
from sentinel.model.status import Actions, Run, RunStatus

COUNT_AGAIN_AFTER = 1.0
"""Seconds for which the number of live runs is good enough."""

Exposition = Callable[[RunStatus, Actions], str]
"""One run's metrics as text, in the format of Prometheus."""


class Neighbour(Protocol):
    """A live run of the same owner, as the registry knows it."""

    @property
    def name(self) -> str:
        """How it is called."""

    @property
    def socket(self) -> str:
        """The path of its own socket; empty when it has none."""


Neighbours = Callable[[], Sequence[Neighbour]]
"""The live runs of this user, this one included."""


class Attended:
    """A run that is asked about, and what was answered before."""

    def __init__(self, run: Run) -> None:
        """`run` has started."""
        self.run = run
        self._last: tuple[float, RunStatus] | None = None

    def status(self, now: float) -> RunStatus:
        """What it is like; one look for all who ask at the same moment."""
        if self._last is not None and self._last[0] == now:
            return self._last[1]
        status = self.run.status(now)
        self._last = (now, status)
        return status


class Asked(NamedTuple):
    """A question, the run of this process that it is about, and who asks."""

    question: Question
    attended: Attended
    uid: int
    now: float


class Desk:
    """Answers. `owner` is the user whose runs these are."""

    def __init__(self, owner: int, neighbours: Neighbours, exposition: Exposition) -> None:
        """`neighbours` reads the registry; `exposition` writes metrics."""
        self._owner = owner
        self._neighbours = neighbours
        self._exposition = exposition
        self._counted: tuple[float, int] | None = None

    def find(self, name: str) -> Neighbour:
        """The live run called `name`. Raises SentinelError when there is none."""
        for neighbour in self._neighbours():
            if neighbour.name == name:
                return neighbour
        raise SentinelError(f"no live run is called {quoted(name)}", "see: sentinel ls")

    def answer(self, asked: Asked) -> str | Generator[None, None, str]:
        """The answer to any question but `events`. Raises SentinelError."""
        question = asked.question
        if question.request is not None:
            return self._request(asked)
        made: dict[str, Callable[[Asked], str | Generator[None, None, str]]] = {
            "status": self._status,
            "tree": _tree,
            "metrics": self._metrics,
            "ping": _pong,
            "help": lambda asked: answers.help_text(json=asked.question.json),
        }
        return made[question.verb](asked)

    def _request(self, asked: Asked) -> str:
        request = asked.question.request
        if request is None:
            raise AssertionError(asked.question.verb)
        reply = asked.attended.run.request(request, f"uid {asked.uid}", asked.now)
        if not reply.ok:
            return answers.error_line(reply.text, json=asked.question.json)
        return answers.told(asked.attended.run.name, reply.text, json=asked.question.json)

    def _status(self, asked: Asked) -> str:
        status, runs = asked.attended.status(asked.now), self._count(asked.now)
        if asked.question.json:
            return answers.dumped(answers.status_document(status, self._owner, runs))
        return answers.status_text(status, 1 if asked.question.name else runs)

    def _metrics(self, asked: Asked) -> str:
        status, actions = asked.attended.status(asked.now), asked.attended.run.actions()
        if not asked.question.json:
            return self._exposition(status, actions)
        document = answers.status_document(status, self._owner, self._count(asked.now))
        return answers.dumped(answers.metrics_document(document, actions))

    def _count(self, now: float) -> int:
        """How many runs are live: at least the one that is asked."""
        if self._counted is None or now - self._counted[0] >= COUNT_AGAIN_AFTER:
            self._counted = (now, max(1, len(self._neighbours())))
        return self._counted[1]


def _pong(asked: Asked) -> str:
    return answers.told(asked.attended.run.name, "pong", json=asked.question.json)


def _tree(asked: Asked) -> Generator[None, None, str]:
    run = asked.attended.run
    found, omitted = yield from survey(run.members(), resident)
    if asked.question.json:
        return tree_json(run.name, found, omitted)
    return tree_text(found, omitted)

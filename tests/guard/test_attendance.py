"""Attendants in the loop: served while they behave, left behind when they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from sentinel.guard.attendance import Attend, Attendance
from sentinel.linux.loop import Loop
from sentinel.model.outcome import Moment, Outcome
from sentinel.model.status import Run

pytestmark = pytest.mark.native
MOMENT = Moment(1.0, "frozen", "", None)
RUN = cast("Run", object())
OUTCOME = cast("Outcome", object())


class Noting:
    """Notes what it is called for, and fails at one of it."""

    def __init__(self, fails_at: str = "", due: float | None = None) -> None:
        self.done: list[str] = []
        self._fails_at = fails_at
        self._due = due

    def _note(self, what: str) -> None:
        self.done.append(what)
        if what == self._fails_at:
            raise RuntimeError(what)

    def begin(self, *_: Any) -> None:
        """Begun."""
        self._note("begin")

    def turn(self, *_: Any) -> None:
        """Turned."""
        self._note("turn")

    def deadline(self) -> float | None:
        """Asked when."""
        self._note("deadline")
        return self._due

    def told(self, *_: Any) -> None:
        """Told a moment."""
        self._note("told")

    def ended(self, *_: Any) -> None:
        """Told the end."""
        self._note("ended")

    def close(self) -> None:
        """Closed."""
        self._note("close")


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A loop, closed at the end."""
    made = Loop()
    yield made
    made.close()


def attend(loop: Loop, *attendants: Noting) -> list[str]:
    """Let them live through everything; the complaints."""
    complaints: list[str] = []
    attendance = Attendance(loop, complaints.append)
    attendance.begin(Attend(lambda: attendants), lambda: [RUN])
    attendance.deadline()
    attendance.turn(1.0, set())
    attendance.told(RUN, MOMENT, None)
    attendance.ended(RUN, OUTCOME)
    attendance.close()
    return complaints


WHOLE = ["begin", "deadline", "turn", "told", "ended", "close"]


@pytest.mark.parametrize("fails_at", WHOLE)
def test_one_that_fails_is_told_once_and_closed(loop: Loop, fails_at: str) -> None:
    """The others never notice."""
    bad, good = Noting(fails_at), Noting()
    complaints = attend(loop, bad, good)
    assert complaints == [f"Noting failed, the run goes on without: RuntimeError: {fails_at}"]
    before = WHOLE[: WHOLE.index(fails_at) + 1]
    assert bad.done == (before if fails_at == "close" else [*before, "close"])
    assert good.done == WHOLE


def test_the_nearest_deadline_counts(loop: Loop) -> None:
    """None wants none."""
    attendance = Attendance(loop, print)
    assert attendance.deadline() is None
    attendance.begin(Attend(lambda: [Noting(due=7.0), Noting(), Noting(due=3.0)]), list)
    assert attendance.deadline() == 3.0


def broken() -> list[Any]:
    """What somebody needed is not there."""
    raise ImportError("no module named json")


@pytest.mark.parametrize(
    ("make", "find_runs"),
    [(broken, lambda: [RUN]), (lambda: [Noting()], broken)],
    ids=["attendants", "runs"],
)
def test_an_import_that_fails_costs_nothing_but_a_line(
    loop: Loop, make: Callable[[], list[Noting]], find_runs: Callable[[], list[Run]]
) -> None:
    """Those who would have come are not missed by the run."""
    complaints: list[str] = []
    attendance = Attendance(loop, complaints.append)
    attendance.begin(Attend(make), find_runs)
    assert complaints == [
        "the observers failed, the run goes on without: ImportError: no module named json"
    ]
    assert attendance.deadline() is None

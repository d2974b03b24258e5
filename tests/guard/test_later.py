"""An attendant who comes later, and one who never came."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sentinel.guard.later import Later
from sentinel.linux.loop import Loop
from tests.guard.test_attendance import MOMENT, OUTCOME, RUN, Noting

pytestmark = pytest.mark.native


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A loop that is closed at the end."""
    made = Loop()
    yield made
    made.close()


def test_it_is_made_when_it_is_time_and_then_told_everything(loop: Loop) -> None:
    """Before that it costs a deadline; nothing that happened earlier is told."""
    meant = Noting(due=9.0)
    later = Later(lambda: meant, after=0.5)
    later.begin(loop, [RUN], 1.0)
    assert later.deadline() == 1.5
    later.told(RUN, MOMENT, None, 1.1)
    later.turn(1.4, set())
    assert meant.done == []
    later.turn(1.5, set())
    assert later.deadline() == 9.0
    later.told(RUN, MOMENT, None, 1.6)
    later.ended(RUN, OUTCOME, 1.7)
    later.close()
    assert [call for call in meant.done if call != "deadline"] == [
        "begin",
        "turn",
        "told",
        "ended",
        "close",
    ]


def test_a_run_that_was_too_short_never_pays(loop: Loop) -> None:
    """Nobody is made, nobody is closed."""

    def make() -> Noting:
        raise AssertionError

    later = Later(make, after=0.5)
    later.begin(loop, [RUN], 1.0)
    later.turn(1.2, set())
    later.ended(RUN, OUTCOME, 1.3)
    later.close()
    assert later.deadline() is None

"""How much of the guard's time observers may have, on a clock of the test's own."""

from __future__ import annotations

import pytest

from sentinel.control.allowance import DEAREST, SAVED, SHARE, TURN, Allowance


class Clock:
    """Passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


def test_a_turn_ends_after_a_millisecond(clock: Clock) -> None:
    """Then the guardians look first."""
    allowance = Allowance(clock)
    allowance.begin()
    assert allowance.is_left()
    clock.now += TURN * 0.9
    assert allowance.is_left()
    clock.now += TURN * 0.2
    assert not allowance.is_left()


def test_questions_now_and_then_never_rest(clock: Clock) -> None:
    """A person, or a dashboard twice a second."""
    allowance = Allowance(clock)
    for _ in range(1000):
        allowance.begin()
        clock.now += TURN
        assert allowance.end() is None
        clock.now += 0.5


def test_a_flood_gets_its_share_and_no_more(clock: Clock) -> None:
    """After what was saved, its share of the time; and it is not starved either."""
    allowance = Allowance(clock)
    began, worked = clock.now, 0.0
    while clock.now - began < 10.0:
        allowance.begin()
        clock.now += TURN
        worked += TURN
        clock.now = allowance.end() or clock.now
    elapsed = clock.now - began
    assert worked <= SAVED + SHARE * elapsed + TURN
    assert worked >= 0.9 * SHARE * elapsed


def test_waiting_for_the_cpu_is_not_charged_in_full(clock: Clock) -> None:
    """A turn that others held up for a second costs no second."""
    allowance = Allowance(clock)
    rests = []
    for _ in range(20):
        allowance.begin()
        clock.now += 1.0
        rest = allowance.end()
        rests.append(0.0 if rest is None else rest - clock.now)
    assert max(rests) <= (TURN + DEAREST) / SHARE

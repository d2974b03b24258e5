"""How soon memory without a wire is looked at again."""

from __future__ import annotations

import pytest

from sentinel.policy.pace import CALM_FLOOR, FASTEST, LAST_SHARE, LOOK_SHARE, SLOWEST, SUDDEN, Pace

MIB = 1 << 20
LIMIT = 64 * MIB


def test_the_quiet_is_looked_at_ever_more_rarely() -> None:
    """From FASTEST on, twice as long each time, up to what sudden growth allows."""
    pace, now, waits = Pace(), 0.0, []
    for _ in range(12):
        waits.append(pace.next(now, 10 * MIB, 1014 * MIB, 0.0))
        now += waits[-1]
    assert waits[:3] == pytest.approx([FASTEST, 2 * FASTEST, 4 * FASTEST])
    assert waits[-1] == SLOWEST


def test_the_less_room_the_closer_the_look() -> None:
    """Nobody grows, but somebody might: SUDDEN bytes a second, and not below CALM_FLOOR."""
    for held, expected in ((LIMIT - 40 * MIB, 40 * MIB / SUDDEN), (LIMIT - MIB, CALM_FLOOR)):
        pace, now = Pace(), 0.0
        for _ in range(12):
            wait = pace.next(now, held, LIMIT - held, 0.0)
            now += wait
        assert wait == pytest.approx(expected)


@pytest.mark.parametrize("rate", [10 * MIB, 80 * MIB, 400 * MIB])
def test_a_steady_leak_is_seen_soon_after_it_is_over(rate: int) -> None:
    """Each look comes after half of the time that is left: at most FASTEST too late."""
    pace, now = Pace(), 0.0
    while now * rate < LIMIT:
        now += pace.next(now, held := int(now * rate), LIMIT - held, 0.0)
        assert now < 60
    assert now * rate - LIMIT <= 2 * FASTEST * rate


def test_a_look_that_is_dear_is_not_repeated_at_once() -> None:
    """A quarter of the time may go into looks, and half of it for the last moments of room."""
    slow, fast = Pace(), Pace()
    for pace in (slow, fast):
        pace.next(0.0, 0, LIMIT, 0.04)
    assert slow.next(1.0, MIB, MIB // 5, 0.04) == pytest.approx(0.04 * LOOK_SHARE)
    assert fast.next(1.0, MIB, MIB // 20, 0.04) == pytest.approx(0.04 * LAST_SHARE)


def test_over_the_limit_there_is_a_next_look_all_the_same() -> None:
    """No head-room, no negative time."""
    pace = Pace()
    pace.next(0.0, 0, LIMIT, 0.0)
    assert pace.next(0.1, 2 * LIMIT, -LIMIT, 0.0) == FASTEST


def test_with_no_limit_left_to_reach_the_looks_are_rare() -> None:
    """The soft limit was told to be crossed, and there is no hard one: however it grows."""
    pace, now = Pace(), 0.0
    for _ in range(12):
        wait = pace.next(now, int(now * 400 * MIB), None, 0.0)
        now += wait
    assert wait == SLOWEST


@pytest.mark.parametrize(("pause", "left"), [(0.5, 1 / 2), (1.0, 1 / 4)])
def test_a_burst_is_forgotten_by_halves(pause: float, left: float) -> None:
    """Half a second after the growth has ended it counts for half: allocators grow in steps."""
    pace, growth, room = Pace(), 1600 * MIB, 40 * MIB
    pace.next(0.0, 0, 4096 * MIB, 0.0)
    pace.next(1.0, growth, 4096 * MIB, 0.1)
    assert pace.next(1.0 + pause, growth, room, 0.0) == pytest.approx(room / (growth * left) / 2)


def test_a_second_look_at_the_same_instant_tells_nothing_of_the_growth() -> None:
    """Two looks that one wake-up brings divide by no time at all."""
    pace = Pace()
    pace.next(1.0, 0, 1024 * MIB, 0.0)
    assert pace.next(1.0, 64 * MIB, 1024 * MIB, 0.0) == 2 * FASTEST

"""What an exporter remembers of a run: bounded in number and time, whoever scrapes."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sentinel.metrics.detector import Point
from sentinel.metrics.history import HORIZON, SLOTS, History

MIB = 1 << 20


def filled(seconds: float, every: float) -> History:
    """A history of a run that grows by 1 MiB a second."""
    history = History()
    for number in range(int(seconds / every)):
        at = number * every
        history.add(Point(at, int(at * MIB), int(at * MIB), 10, 20))
    return history


@pytest.mark.parametrize(("seconds", "every"), [(20, 0.1), (600, 0.05), (7200, 1), (86400, 60)])
def test_it_is_bounded_and_looks_back_an_hour(seconds: float, every: float) -> None:
    """However often and long a run is looked at, 240 slots and one hour are enough."""
    points = filled(seconds, every).points()
    assert len(points) <= SLOTS
    assert points[-1].at - points[0].at <= HORIZON
    assert points == sorted(points)
    gaps = [later.at - earlier.at for earlier, later in pairwise(points)]
    assert max(gaps) <= max(every, 2 * HORIZON / SLOTS) * 1.001, "no coarser than need be"


@pytest.mark.parametrize(("seconds", "every"), [(20, 1), (600, 0.05), (7200, 1)])
def test_the_trend_survives_the_merging(seconds: float, every: float) -> None:
    """1 MiB/s is 1 MiB/s, whether slots were merged or not."""
    trend = filled(seconds, every).trend()
    assert trend is not None
    assert trend.growth == pytest.approx(MIB, rel=0.03)
    assert trend.confidence == 1.0


def test_a_slot_keeps_the_least_and_the_most() -> None:
    """Samples of one quarter of a second become one: its floor, its top, the least of each part."""
    history = History()
    history.add(Point(0.00, 30, 30, 7, 3))
    history.add(Point(0.05, 10, 10, 9, 2))
    history.add(Point(0.10, 20, 20, 8, None))
    assert history.points() == [Point(0.05, 10, 30, 7, 2)]
    assert history.anon_peak == 30


def test_what_is_unknown_stays_unknown() -> None:
    """Without an anonymous sample there is no peak; parts nobody knows are not 0."""
    history = History()
    assert history.anon_peak is None
    assert history.trend() is None
    history.add(Point(0.0, 5, 5))
    history.add(Point(0.1, 6, 6))
    assert history.points() == [Point(0.0, 5, 6, None, None)]


def test_the_peak_outlives_what_is_forgotten() -> None:
    """The peak is that of the whole life."""
    history = History()
    history.add(Point(0.0, 999, 999))
    for number in range(1, 3 * int(HORIZON)):
        history.add(Point(float(number), 1, 1))
    assert history.anon_peak == 999
    assert max(point.top for point in history.points()) == 1

"""The leak detector: floor, slope, steadiness, and the word for it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import NamedTuple

import pytest

from sentinel.metrics.detector import (
    Leak,
    Point,
    Trend,
    floor,
    judge,
    kendall_tau,
    theil_sen,
)

MIB = 1 << 20
HOUR = 3600.0
SEEDS = range(20)


class Shape(NamedTuple):
    """An hour of a program: MiB above 100 at a second, and what the detector is to find.

    `slope` (MiB/h) and `tau` are the table's, `truth` and `verdict` what is to be concluded.
    """

    name: str
    height: Callable[[float], float]
    slope: float
    tau: float
    truth: float
    verdict: Leak


def _sawtooth(at: float) -> float:
    """A collector that lets 40 MiB gather for seven minutes."""
    return 40 * (at % 420) / 420


SHAPES = (
    Shape("staircase", lambda at: 4 * (at // 600), 25.1, 0.94, 24, Leak.LEAK),
    Shape("linear", lambda at: 24 * at / HOUR, 24.9, 0.97, 24, Leak.LEAK),
    Shape(
        "sawtooth and leak", lambda at: 24 * at / HOUR + _sawtooth(at), 23.9, 0.75, 24, Leak.LEAK
    ),
    Shape("warm-up then flat", lambda at: min(80, at / 15), 51.7, 0.64, 0, Leak.STEADY),
    Shape("sawtooth, no leak", _sawtooth, 0.5, 0.09, 0, Leak.STEADY),
    Shape("one 8-min burst", lambda at: 100 * (1500 <= at < 1980), 0.4, 0.09, 0, Leak.BURST),
    Shape("flat with noise", lambda _: 0, 0.0, 0.0, 0, Leak.STEADY),
)


def series(height: Callable[[float], float], seed: int, every: float = 10.0) -> list[Point]:
    """An hour of samples of `height`, with noise of 1 MiB."""
    chance = random.Random(seed)
    found = []
    for number in range(int(HOUR / every)):
        at = number * every
        anon = int((100 + height(at) + chance.gauss(0, 1)) * MIB)
        found.append(Point(at, anon, anon))
    return found


def curve(points: list[Point]) -> list[tuple[float, float]]:
    """The floor of `points` in twelve windows of five minutes."""
    return floor([(point.at, float(point.anon)) for point in points])


def hourly(slope: float) -> float:
    """MiB per hour."""
    return slope * HOUR / MIB


def judged(points: list[Point]) -> Trend:
    """The trend, where there is one."""
    trend = judge(points)
    assert trend is not None
    return trend


def median(values: list[float]) -> float:
    """The middle one."""
    return sorted(values)[len(values) // 2]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_slope_and_tau_of_the_floor_are_those_of_the_table(shape: Shape) -> None:
    """Theil-Sen and Kendall's tau on five-minute floors find what was measured for each shape."""
    floors = [curve(series(shape.height, seed)) for seed in SEEDS]
    assert median([hourly(theil_sen(f)) for f in floors]) == pytest.approx(shape.slope, abs=4)
    assert median([kendall_tau(f) for f in floors]) == pytest.approx(shape.tau, abs=0.12)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_growth_is_the_truth_and_no_warm_up(shape: Shape) -> None:
    """What is told as growth is what the program leaks, a warm-up that is over left out."""
    trends = [judged(series(shape.height, seed)) for seed in SEEDS]
    assert median([hourly(trend.growth) for trend in trends]) == pytest.approx(shape.truth, abs=3)
    assert {trend.rising for trend in trends} == {shape.truth > 0}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_each_shape_has_its_verdict(shape: Shape) -> None:
    """A leak is called one, and nothing else is; a sawtooth may hide it, never the reverse."""
    verdicts = [judged(series(shape.height, seed)).verdict for seed in SEEDS]
    assert max(set(verdicts), key=verdicts.count) is shape.verdict
    allowed = {shape.verdict, Leak.INCONCLUSIVE} if shape.truth else {shape.verdict}
    assert set(verdicts) <= allowed


def test_a_leak_that_starts_late_is_found() -> None:
    """Half an hour of nothing does not hide half an hour of 40 MiB/h."""
    trends = [judged(series(lambda at: max(0.0, at - 1800) * 40 / HOUR, seed)) for seed in SEEDS]
    verdicts = [trend.verdict for trend in trends]
    assert max(set(verdicts), key=verdicts.count) is Leak.LEAK
    assert set(verdicts) <= {Leak.LEAK, Leak.INCONCLUSIVE}
    assert all(trend.rising for trend in trends)


@pytest.mark.parametrize("every", [0.25, 1.0, 5.0])
def test_a_leaker_of_twenty_seconds_gets_a_verdict(every: float) -> None:
    """Windows are parts of the time seen: 10 MiB/s is told after 20 s, whoever scrapes."""
    times = [number * every for number in range(int(20 / every))]
    points = [Point(at, int(at * 10 * MIB), int(at * 10 * MIB)) for at in times]
    trend = judged(points)
    assert trend.verdict is Leak.LEAK
    assert trend.growth == pytest.approx(10 * MIB, rel=0.02)
    assert trend.confidence == 1.0
    assert trend.eta(150 * MIB, 200 * MIB) == pytest.approx(5.0, rel=0.02)


@pytest.mark.parametrize("began", [0.0, 1e6], ids=["at boot", "days later"])
@pytest.mark.parametrize(
    ("held", "step", "verdict"),
    [
        (0, MIB // 11, Leak.STEADY),
        (0, MIB // 11 + 1, Leak.LEAK),
        (200 * MIB, 4 * MIB // 11, Leak.STEADY),
        (200 * MIB, 5 * MIB // 11, Leak.LEAK),
    ],
)
def test_a_rise_counts_from_a_mib_and_two_percent_on(
    held: int, step: int, verdict: Leak, began: float
) -> None:
    """However steady it is; and what the clock showed at its beginning decides nothing."""
    heights = [held + step * number for number in range(12)]
    points = [Point(began + 300 * number, high, high) for number, high in enumerate(heights)]
    trend = judged(points)
    assert (trend.verdict, trend.rising) == (verdict, verdict is Leak.LEAK)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_nothing_is_said_of_three_samples(count: int) -> None:
    """Fewer than four windows are no trend: unknown, not zero."""
    assert judge([Point(float(at), at * MIB, at * MIB) for at in range(count)]) is None


def test_samples_of_one_moment_are_no_trend() -> None:
    """A hundred scrapes at once have no span."""
    assert judge([Point(7.0, at * MIB, at * MIB) for at in range(100)]) is None


@pytest.mark.parametrize(
    ("anon", "file", "kernel", "verdict"),
    [
        (10, 0, 0, Leak.LEAK),
        (10, 4, 0, Leak.LEAK),
        (2, 10, 0, Leak.CACHE),
        (0, 10, 0, Leak.CACHE),
        (0, 0, 10, Leak.KERNEL),
        (2, 2, 10, Leak.KERNEL),
        (10, 10, 10, Leak.INCONCLUSIVE),
        (0, 0, 0, Leak.STEADY),
    ],
)
def test_the_part_that_carries_the_growth_is_to_blame(
    anon: int, file: int, kernel: int, verdict: Leak
) -> None:
    """`leak`, `cache` or `kernel` by whoever carries 70 %; nobody does: inconclusive."""
    points = [
        Point(float(at), at * anon * MIB, at * anon * MIB, at * file * MIB, at * kernel * MIB)
        for at in range(60)
    ]
    trend = judged(points)
    assert trend.verdict is verdict
    assert trend.rising is (anon > 0)


def test_a_cache_that_grows_says_so() -> None:
    """The reason names the part and its share."""
    points = [Point(float(at), 0, 0, at * MIB, 0) for at in range(60)]
    assert judged(points).why == "file carries 100% of the growth"


RISING = Trend(2.0, 1.0, rising=True, verdict=Leak.LEAK, why="")
FALLING = Trend(-2.0, 0.0, rising=False, verdict=Leak.STEADY, why="")


@pytest.mark.parametrize(
    ("trend", "used", "eta"),
    [
        (RISING, 80.0, 10.0),
        (RISING, 100.0, 0.0),
        (RISING, 120.0, 0.0),
        (RISING._replace(rising=False), 80.0, math.inf),
        (FALLING, 80.0, math.inf),
        (FALLING, 100.0, 0.0),
    ],
)
def test_eta_is_head_room_over_growth(trend: Trend, used: float, eta: float) -> None:
    """Infinite while nothing rises, 0 when the limit is reached."""
    assert trend.eta(used, 100.0) == eta


def test_floor_takes_the_lowest_of_each_window() -> None:
    """Minima with the time at which they were seen, empty windows left out."""
    points = [(0.0, 5.0), (1.0, 3.0), (2.0, 4.0), (9.0, 8.0), (10.0, 7.0)]
    assert floor(points, windows=5) == [(1.0, 3.0), (2.0, 4.0), (10.0, 7.0)]
    assert floor([]) == []


@pytest.mark.parametrize(
    ("values", "slope", "tau"),
    [
        ([1, 2, 3, 4], 1.0, 1.0),
        ([4, 3, 2, 1], -1.0, -1.0),
        ([5, 5, 5, 5], 0.0, 0.0),
        ([1, 2, 3, 4, 100], 1.0, 1.0),
        ([1, 3, 2, 4], 0.75, 2 / 3),
        ([7], 0.0, 0.0),
        ([], 0.0, 0.0),
    ],
)
def test_theil_sen_and_tau_by_hand(values: list[int], slope: float, tau: float) -> None:
    """Small cases that can be counted on paper; one outlier changes no median."""
    points = [(float(at), float(value)) for at, value in enumerate(values)]
    assert theil_sen(points) == pytest.approx(slope)
    assert kendall_tau(points) == pytest.approx(tau)


def test_tau_counts_ties_once() -> None:
    """Tau-b: a staircase of equal pairs is steadier than its pairs alone would say."""
    points = [(0.0, 1.0), (1.0, 1.0), (2.0, 2.0), (3.0, 2.0)]
    assert kendall_tau(points) == pytest.approx(4 / math.sqrt(6 * 4))

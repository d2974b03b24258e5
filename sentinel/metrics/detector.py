"""Does a run leak? Its memory's floor, how fast the floor rises, and how steadily.

Pure. A program's memory goes up and down with its work and its garbage collector; what only ever
goes up is the floor: the least that it held in each of twelve windows. The windows are twelfths
of the time seen, so that a run of twenty seconds is judged by the same rule as one of an hour.
Theil-Sen (the median of all slopes between two windows) is blind to single outliers; Kendall's
tau tells how steadily the floor rises, from -1 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple

WINDOWS = 12
FEWEST = 4
"""Windows with a sample in them, below which nothing is said: 4 in order by chance is 1 in 24."""
STEADY_RISE = 0.7
"""Tau from which on a rise is a leak; a sawtooth without one stays below 0.4."""
SOME_RISE = 0.4
"""Tau from which on a forecast is worth making."""
SETTLED = 0.3
"""Share of the whole slope under which the later half has come to rest: it was a warm-up."""
CARRIES = 0.7
"""Share of the growth by which one kind of memory is to blame."""
NOISE_BYTES = 1 << 20
NOISE_SHARE = 0.02
"""A floor that rose by less than this, of its own height or in bytes, has not risen."""
MOST_BURST = 1 / 3
"""Share of the windows that a burst may touch; a sawtooth touches most."""

Curve = Sequence[tuple[float, float]]
"""(seconds, bytes), in the order of time."""


class Point(NamedTuple):
    """What was seen at one time or in one short while. Seconds, bytes; None: unknown here.

    `anon` is the least anonymous memory and `top` the most; `kernel` is slab, page tables,
    stacks and sockets.
    """

    at: float
    anon: int
    top: int
    file: int | None = None
    kernel: int | None = None


class Leak(Enum):
    """The verdict words."""

    LEAK = "leak"
    CACHE = "cache"
    KERNEL = "kernel"
    BURST = "burst"
    STEADY = "steady"
    INCONCLUSIVE = "inconclusive"


class Trend(NamedTuple):
    """Where memory is heading. `growth` in bytes per second, `confidence` from 0 to 1.

    `rising`: beyond the noise, and steadily enough for a forecast. `why` explains the verdict.
    """

    growth: float
    confidence: float
    rising: bool
    verdict: Leak
    why: str

    def eta(self, used: float, limit: float) -> float:
        """Seconds until `used` bytes reach `limit`; infinite while nothing rises."""
        if used >= limit:
            return 0.0
        return (limit - used) / self.growth if self.rising else math.inf


class _Rise(NamedTuple):
    """How one kind of memory moves."""

    slope: float
    tau: float
    settled: bool
    significant: bool


def floor(points: Curve, windows: int = WINDOWS) -> list[tuple[float, float]]:
    """The lowest point of each window that has one; windows are equal parts of the time seen."""
    if not points:
        return []
    began = points[0][0]
    width = (points[-1][0] - began) / windows
    lowest: dict[int, tuple[float, float]] = {}
    for at, value in points:
        window = min(int((at - began) / width), windows - 1) if width > 0 else 0
        if window not in lowest or value < lowest[window][1]:
            lowest[window] = (at, value)
    return [lowest[window] for window in sorted(lowest)]


def theil_sen(points: Curve) -> float:
    """The median of all slopes between two points; 0 when there are none."""
    slopes = sorted(
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for index, earlier in enumerate(points)
        for later in points[index + 1 :]
        if later[0] > earlier[0]
    )
    if not slopes:
        return 0.0
    middle = len(slopes) // 2
    return slopes[middle] if len(slopes) % 2 else (slopes[middle - 1] + slopes[middle]) / 2


def kendall_tau(points: Curve) -> float:
    """Kendall's tau-b of value against time, -1 to 1; 0 when nothing moves."""
    score = ties = pairs = 0
    for index, earlier in enumerate(points):
        for later in points[index + 1 :]:
            pairs += 1
            score += (later[1] > earlier[1]) - (later[1] < earlier[1])
            ties += later[1] == earlier[1]
    return score / math.sqrt(pairs * (pairs - ties)) if pairs > ties else 0.0


def judge(points: Sequence[Point]) -> Trend | None:
    """The trend of `points`, in the order of time; None while there are too few for any."""
    lowest = floor([(point.at, point.anon) for point in points])
    if len(lowest) < FEWEST:
        return None
    anon = _rise(lowest)
    rising = anon.significant and not anon.settled and anon.tau >= SOME_RISE
    verdict, why = _verdict(points, lowest, anon)
    return Trend(anon.slope, max(0.0, anon.tau), rising, verdict, why)


def _rise(lowest: Curve) -> _Rise:
    """Judge one floor; a rise that came to rest in the later half is told by that half."""
    slope, tau = theil_sen(lowest), kendall_tau(lowest)
    later = lowest[-max(3, len(lowest) // 2) :]
    late = theil_sen(later)
    settled = slope > 0 and late < SETTLED * slope
    span = lowest[-1][0] - lowest[0][0]
    significant = slope * span >= _noise(lowest)
    if settled:
        return _Rise(late, kendall_tau(later), settled, significant)
    return _Rise(slope, tau, settled, significant)


def _noise(lowest: Curve) -> float:
    heights = sorted(value for _, value in lowest)
    return max(NOISE_BYTES, NOISE_SHARE * heights[len(heights) // 2])


def _verdict(points: Sequence[Point], lowest: Curve, anon: _Rise) -> tuple[Leak, str]:
    parts = {"anon": anon}
    for name, values in (
        ("file", [(p.at, float(p.file)) for p in points if p.file is not None]),
        ("kernel", [(p.at, float(p.kernel)) for p in points if p.kernel is not None]),
    ):
        found = floor(values)
        if len(found) >= FEWEST:
            parts[name] = _rise(found)
    grown = sum(max(0.0, rise.slope) for rise in parts.values())
    words = {"anon": Leak.LEAK, "file": Leak.CACHE, "kernel": Leak.KERNEL}
    steady = [n for n, r in parts.items() if r.significant and not r.settled]
    for name in steady:
        share = parts[name].slope / grown
        if parts[name].tau >= STEADY_RISE and share >= CARRIES:
            return words[name], f"{name} carries {share:.0%} of the growth"
    if any(parts[name].tau >= STEADY_RISE for name in steady):
        return Leak.INCONCLUSIVE, "no kind of memory carries most of the growth"
    if anon.significant and not anon.settled and anon.tau >= SOME_RISE:
        return Leak.INCONCLUSIVE, "the floor rises, but not steadily"
    if _bursts(points, lowest):
        return Leak.BURST, "it rose for a while and came back"
    return Leak.STEADY, "it grew and came to rest" if anon.settled else "the floor does not rise"


def _bursts(points: Sequence[Point], lowest: Curve) -> bool:
    """Whether a few windows, and not most, stood far above the floor."""
    heights = sorted(value for _, value in lowest)
    bar = heights[len(heights) // 2] + 4 * _noise(lowest)
    high = [(at, -top) for at, top in _tops(points, lambda point: point.top)]
    touched = sum(-value > bar for _, value in high)
    return 0 < touched <= MOST_BURST * len(high)


def _tops(points: Sequence[Point], of: Callable[[Point], int]) -> list[tuple[float, float]]:
    """The highest point of each window."""
    return [(at, -value) for at, value in floor([(point.at, -of(point)) for point in points])]

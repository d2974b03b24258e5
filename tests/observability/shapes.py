"""How memory moves: the shapes that leak alerts must tell apart, in minutes and MiB."""

import math
import random
from collections.abc import Callable
from typing import NamedTuple

HOUR = 60
DAY = 24 * HOUR
MIB = 1 << 20
BASE = 100.0
"""MiB that every shape begins with, or warms up to."""

Curve = Callable[[int], float]
"""From minutes since the start to MiB."""


class Shape(NamedTuple):
    """Anonymous memory and page cache of a run over `minutes`, under a soft limit in MiB.

    It is looked at every `step` minutes, at most 4: Prometheus forgets a sample after 5.
    """

    name: str
    minutes: int
    anon: Curve
    cache: Curve = lambda _: 10.0
    limit: float = 200.0
    step: int = 1

    def bytes_of(self, curve: Curve) -> list[int]:
        """What `curve` says at each look, in bytes."""
        return [round(curve(at) * MIB) for at in range(0, self.minutes + 1, self.step)]


def staircase(at: int) -> float:
    """4 MiB every ten minutes: 24 MiB an hour."""
    return BASE + 4.0 * (at // 10)


def linear(at: int) -> float:
    """24 MiB an hour."""
    return BASE + 24.0 * at / HOUR


def sawtooth(at: int) -> float:
    """A collector that lets 40 MiB gather in 14 minutes and gives them all back."""
    return BASE + 40.0 * (at % 14) / 14


def leaking_sawtooth(at: int) -> float:
    """The collector, and 24 MiB an hour that it cannot give back."""
    return sawtooth(at) + 24.0 * at / HOUR


def warm_up(at: int) -> float:
    """Half of it there at once, the rest within the first hour and a half; then flat."""
    return BASE * (1 - 0.5 * math.exp(-at / 20))


def noise(at: int) -> float:
    """Flat, give or take 3 MiB."""
    return BASE + random.Random(at).uniform(-3.0, 3.0)


def slow(at: int) -> float:
    """3 MiB an hour."""
    return BASE + 3.0 * at / HOUR


def late(at: int) -> float:
    """Flat for six hours, then 24 MiB an hour."""
    return noise(at) + 24.0 * max(0, at - 6 * HOUR) / HOUR


def burst(at: int) -> float:
    """Flat but for eight minutes of 60 MiB more."""
    return noise(at) + (60.0 if 100 <= at < 108 else 0.0)


def daily(at: int) -> float:
    """A day's rhythm of 80 MiB, up and down."""
    return BASE + 40.0 * (1 - math.cos(2 * math.pi * at / DAY))


def growing_cache(at: int) -> float:
    """Page cache: 60 MiB an hour."""
    return 10.0 + at

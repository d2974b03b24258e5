"""What an exporter remembers of a run, to judge its trend: bounded, whoever scrapes how often.

Pure. Time is cut into slots; a slot keeps the least and the most that was seen in it. When there
are too many, two become one, until they are as wide as an hour of them needs; from then on the
oldest are forgotten.
"""

from __future__ import annotations

from sentinel.metrics.detector import Point, Trend, judge

SLOTS = 240
HORIZON = 3600.0
"""Seconds that a trend looks back; a leak slower than that is the business of recording rules."""
FIRST_WIDTH = 0.25


class History:
    """One run's memory over time, with the peak of its anonymous part."""

    def __init__(self) -> None:
        """Empty."""
        self._width = FIRST_WIDTH
        self._slots: list[tuple[int, Point]] = []
        self.anon_peak: int | None = None
        self.collected: float | None = None
        """When it was last read, seconds since the epoch."""

    def add(self, point: Point) -> None:
        """Take in a sample; samples come in the order of time."""
        self.anon_peak = max(self.anon_peak or 0, point.top)
        self._place(point)
        while len(self._slots) > SLOTS and self._width < HORIZON / SLOTS:
            self._width *= 2
            slots, self._slots = self._slots, []
            for _, old in slots:
                self._place(old)
        while len(self._slots) > SLOTS or self._slots[0][1].at < point.at - HORIZON:
            del self._slots[0]

    def _place(self, point: Point) -> None:
        number = int(point.at / self._width)
        if self._slots and self._slots[-1][0] == number:
            self._slots[-1] = (number, _merged(self._slots[-1][1], point))
        else:
            self._slots.append((number, point))

    def points(self) -> list[Point]:
        """What is remembered, in the order of time."""
        return [point for _, point in self._slots]

    def trend(self) -> Trend | None:
        """Where the memory is heading; None while nobody can tell."""
        return judge(self.points())


def _merged(one: Point, other: Point) -> Point:
    lower = one if one.anon <= other.anon else other
    return Point(
        lower.at,
        lower.anon,
        max(one.top, other.top),
        _least(one.file, other.file),
        _least(one.kernel, other.kernel),
    )


def _least(one: int | None, other: int | None) -> int | None:
    return min((value for value in (one, other) if value is not None), default=None)

"""What a row measured, as plain numbers. Pure: no clock, no file, no process."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from statistics import median
from typing import Any, NamedTuple


class Unit(Enum):
    """What the values of a line are."""

    SECONDS = "s"
    BYTES = "B"
    FRACTION = "%"
    COUNT = "n"
    SUCCESSES = "ok"
    """One value per attempt, 1 or 0."""


class Spread(NamedTuple):
    """Median, least and most of some values."""

    median: float
    least: float
    most: float


class Series(NamedTuple):
    """What one contestant reached, one value per round, in the order of the rounds."""

    who: str
    values: tuple[float, ...]

    def spread(self) -> Spread:
        """Median, least and most. Raises ValueError when there are no values."""
        return spread(self.values)


def spread(values: tuple[float, ...]) -> Spread:
    """Median, least and most. Raises ValueError when there are no values."""
    if not values:
        raise ValueError("nothing was measured")
    return Spread(median(values), min(values), max(values))


class Of(Enum):
    """What a target is about."""

    RATIO = "ratio"
    MEDIANS = "medians"
    """The ratio of the two medians: round by round it means nothing where values come near 0."""
    MEDIAN = "median"
    WORST = "worst"
    EVERY = "every"
    """Every attempt must succeed."""


class Target(NamedTuple):
    """What must be reached: at most `most` (ratio, or in the unit of the line)."""

    of: Of
    most: float = 0.0


class Line(NamedTuple):
    """One line of a table: a contestant, what it is measured against, and the target if any."""

    what: str
    unit: Unit
    subject: Series
    baseline: Series | None = None
    target: Target | None = None

    def ratio(self) -> Spread | None:
        """Subject over baseline, round by round where both had the same rounds.

        None without a baseline, for successes, and over nothing.
        """
        if self.baseline is None or self.unit is Unit.SUCCESSES:
            return None
        ours, theirs = self.subject.values, self.baseline.values
        if not ours or not theirs or 0 in theirs:
            return None
        if len(ours) == len(theirs):
            return spread(tuple(a / b for a, b in zip(ours, theirs, strict=True)))
        only = median(ours) / median(theirs)
        return Spread(only, only, only)

    def met(self) -> bool | None:
        """Whether the target was reached; None without one, or when it cannot be told."""
        if self.target is None or not self.subject.values:
            return None
        of, most = self.target
        if of is Of.EVERY:
            return all(self.subject.values)
        if of is Of.RATIO:
            ratio = self.ratio()
            return None if ratio is None else ratio.median <= most
        measured = self.subject.spread()
        if of is Of.MEDIANS:
            theirs = 0.0 if self.baseline is None else self.baseline.spread().median
            return measured.median <= most * theirs if theirs > 0 else None
        return (measured.median if of is Of.MEDIAN else measured.most) <= most


class Measured(NamedTuple):
    """All lines of one row in one place, or why there are none."""

    row: str
    lines: tuple[Line, ...] = ()
    failure: str = ""
    seconds: float = 0.0


def as_json(measured: Measured) -> dict[str, Any]:
    """`measured` as JSON values."""
    return {
        "row": measured.row,
        "failure": measured.failure,
        "seconds": round(measured.seconds, 1),
        "lines": [_line_as_json(line) for line in measured.lines],
    }


def from_json(found: Mapping[str, Any]) -> Measured:
    """What `as_json` made. Raises KeyError or ValueError for anything else."""
    lines = tuple(_line_from_json(line) for line in found["lines"])
    return Measured(found["row"], lines, found["failure"], found["seconds"])


def _line_as_json(line: Line) -> dict[str, Any]:
    baseline, target = line.baseline, line.target
    return {
        "what": line.what,
        "unit": line.unit.value,
        "subject": _series_as_json(line.subject),
        "baseline": None if baseline is None else _series_as_json(baseline),
        "target": None if target is None else {"of": target.of.value, "most": target.most},
    }


def _line_from_json(found: Mapping[str, Any]) -> Line:
    baseline, target = found["baseline"], found["target"]
    return Line(
        found["what"],
        Unit(found["unit"]),
        _series_from_json(found["subject"]),
        None if baseline is None else _series_from_json(baseline),
        None if target is None else Target(Of(target["of"]), target["most"]),
    )


def _series_as_json(series: Series) -> dict[str, Any]:
    return {"who": series.who, "values": [float(f"{value:.6g}") for value in series.values]}


def _series_from_json(found: Mapping[str, Any]) -> Series:
    return Series(found["who"], tuple(found["values"]))

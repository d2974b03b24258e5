"""The reckoning of the benchmarks: spreads, ratios, targets, and what goes into a file."""

import json

import pytest

from benchmarks import figures
from benchmarks.figures import Line, Measured, Of, Series, Spread, Target, Unit

OURS = Series("Sentinel", (2.0, 9.0, 4.0))
THEIRS = Series("other", (1.0, 3.0, 4.0))


def test_a_spread_is_median_and_ends() -> None:
    """Of an even number of values the median is the middle between two."""
    assert OURS.spread() == Spread(4.0, 2.0, 9.0)
    assert figures.spread((1.0, 2.0)) == Spread(1.5, 1.0, 2.0)
    with pytest.raises(ValueError, match="nothing was measured"):
        figures.spread(())


def test_a_ratio_is_taken_round_by_round() -> None:
    """Values of the same round are compared, so that a slow round slows both."""
    assert Line("x", Unit.SECONDS, OURS, THEIRS).ratio() == Spread(2.0, 1.0, 3.0)


def test_a_ratio_of_unequal_rounds_is_that_of_the_medians() -> None:
    """Where one had fewer rounds, only the medians can be compared."""
    assert Line("x", Unit.SECONDS, OURS, Series("other", (2.0,))).ratio() == Spread(2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    "line",
    [
        Line("no baseline", Unit.SECONDS, OURS),
        Line("over nothing", Unit.SECONDS, OURS, Series("other", (1.0, 0.0, 1.0))),
        Line("successes", Unit.SUCCESSES, OURS, THEIRS),
        Line("nothing seen", Unit.SECONDS, Series("Sentinel", ()), THEIRS),
    ],
    ids=lambda line: line.what,
)
def test_some_lines_have_no_ratio(line: Line) -> None:
    """A ratio that means nothing is not made up."""
    assert line.ratio() is None


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (None, None),
        (Target(Of.RATIO, 2.0), True),
        (Target(Of.RATIO, 1.9), False),
        (Target(Of.MEDIANS, 1.4), True),
        (Target(Of.MEDIANS, 1.3), False),
        (Target(Of.MEDIAN, 4.0), True),
        (Target(Of.MEDIAN, 3.9), False),
        (Target(Of.WORST, 9.0), True),
        (Target(Of.WORST, 8.9), False),
    ],
)
def test_a_target_is_met_up_to_its_bound(target: Target | None, met: bool | None) -> None:  # noqa: FBT001
    """The bound itself is good enough."""
    assert Line("x", Unit.SECONDS, OURS, THEIRS, target).met() is met


def test_every_attempt_must_succeed() -> None:
    """One failure among successes misses the target."""
    target = Target(Of.EVERY)
    assert Line("x", Unit.SUCCESSES, Series("Sentinel", (1, 1)), None, target).met() is True
    assert Line("x", Unit.SUCCESSES, Series("Sentinel", (1, 0)), None, target).met() is False


def test_a_target_without_values_is_neither_met_nor_missed() -> None:
    """What was not seen is not known."""
    line = Line("x", Unit.SECONDS, Series("Sentinel", ()), None, Target(Of.MEDIAN, 1.0))
    assert line.met() is None
    ratio = Line("x", Unit.SECONDS, OURS, Series("other", ()), Target(Of.RATIO, 1.0))
    assert ratio.met() is None


def test_medians_compare_what_comes_near_nothing() -> None:
    """A value below 0 has no ratio to be judged by; over a median of nothing nobody can tell."""
    target = Target(Of.MEDIANS, 0.5)
    ours, theirs = Series("Sentinel", (-0.1, 0.1, 0.2)), Series("other", (0.0, 0.4, 0.3))
    assert Line("x", Unit.FRACTION, ours, theirs, target).met() is True
    assert Line("x", Unit.FRACTION, theirs, ours, target).met() is False
    assert Line("x", Unit.FRACTION, ours, Series("other", (0.0,)), target).met() is None


def test_what_was_measured_survives_a_file() -> None:
    """JSON and back changes nothing that six digits can say."""
    lines = (
        Line("x", Unit.SECONDS, OURS, THEIRS, Target(Of.RATIO, 6.0)),
        Line("y", Unit.SUCCESSES, Series("Sentinel", (1.0,))),
    )
    measured = Measured("row", lines, "", 1.5)
    assert figures.from_json(json.loads(json.dumps(figures.as_json(measured)))) == measured
    failed = Measured("row", (), "ValueError: it broke", 0.0)
    assert figures.from_json(figures.as_json(failed)) == failed

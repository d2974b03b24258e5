"""Numbers as short text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.dashboard import gauges
from sentinel.dashboard.gauges import ASCII, UNICODE
from sentinel.model.spec import Limits
from sentinel.model.units import MIB

LIMITS = Limits(200 * MIB, 300 * MIB)


def test_a_sparkline_is_scaled_from_zero_to_the_largest() -> None:
    """The newest values are at the right, the oldest go when there is no room."""
    line = gauges.sparkline([0, 1, 2, 3, 4, 5, 6, 7, 8], 9, 100, UNICODE)
    assert line.plain == "▁▂▃▄▅▆▇██"
    assert gauges.sparkline([8, 0, 4, 8], 3, 100, ASCII).plain == "_+#"
    assert gauges.sparkline([1, 2], 0, 100, UNICODE).plain == ""
    assert gauges.sparkline([0, 0], 5, 100, UNICODE).plain == "▁▁"


def test_a_sparkline_turns_red_over_the_limit() -> None:
    """Green, yellow from three quarters on, red over it."""
    line = gauges.sparkline([10, 75, 101], 3, 100, UNICODE)
    assert [str(span.style) for span in line.spans] == ["green", "yellow", "red"]


@pytest.mark.parametrize(
    ("used", "limits", "drawn"),
    [
        (0, LIMITS, "....................|........."),
        (150 * MIB, LIMITS, "###############.....|........."),
        (250 * MIB, LIMITS, "####################|####....."),
        (999 * MIB, LIMITS, "####################|#########"),
        (None, LIMITS, "....................|........."),
        (100 * MIB, Limits(200 * MIB, None), "############............|....."),
        (400 * MIB, Limits(200 * MIB, None), "###############|##############"),
    ],
)
def test_a_bar_has_its_mark_at_the_soft_limit(used: int | None, limits: Limits, drawn: str) -> None:
    """The hard limit is the whole width."""
    assert gauges.bar(used, limits, 30, ASCII).plain == drawn


@given(st.none() | st.integers(0, 1 << 62), st.integers(1, 1 << 62), st.integers(0, 200))
def test_a_bar_has_its_width(used: int | None, soft: int, width: int) -> None:
    """Whatever the numbers are."""
    assert len(gauges.bar(used, Limits(soft, None), width, UNICODE)) == width


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "steady"), (65535.0, "steady"), (-2 * MIB, "-2M/s"), (1e9, "+953.7M/s")],
)
def test_growth(value: float | None, text: str) -> None:
    """With its sign; what hardly moves is steady, what nobody knows is a dash."""
    assert gauges.growth(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0s"),
        (3.24, "3.2s"),
        (59.9, "1m00s"),
        (86400.0 * 9, "9d"),
        (1e30, "long"),
    ],
)
def test_seconds(value: float | None, text: str) -> None:
    """Short, however long."""
    assert gauges.seconds(value) == text

"""How the benchmarks' numbers look."""

import pytest

from benchmarks import table
from benchmarks.figures import Line, Of, Series, Spread, Target, Unit


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (12345.6, "12346"),
        (100, "100"),
        (99.94, "99.9"),
        (9.999, "10.0"),
        (4.567, "4.57"),
        (0.5, "0.5"),
        (0.0494, "0.049"),
        (-0.5, "-0.5"),
    ],
)
def test_numbers_have_about_three_digits(value: float, text: str) -> None:
    """Enough to compare, never an exponent."""
    assert table.number(value) == text


@pytest.mark.parametrize(
    ("spread", "unit", "text"),
    [
        (Spread(0.0584, 0.05, 1.2), Unit.SECONDS, "58.4 ms [50.0, 1200]"),
        (Spread(3, 3, 3), Unit.SECONDS, "3.00 s"),
        (Spread(2e-4, 1e-4, 3e-4), Unit.SECONDS, "200 us [100, 300]"),
        (Spread(0, 0, 0), Unit.SECONDS, "0 us"),
        (Spread(25 << 20, 25 << 20, 25 << 20), Unit.BYTES, "25.0 MiB"),
        (Spread(0.05, -0.01, 0.2), Unit.FRACTION, "5.00 % [-1.00, 20.0]"),
        (Spread(119, 0, 1e5), Unit.COUNT, "119 [0, 100000]"),
    ],
)
def test_a_quantity_is_told_in_the_unit_of_its_median(
    spread: Spread, unit: Unit, text: str
) -> None:
    """All three numbers share one unit."""
    assert table.quantity(spread, unit) == text


def test_a_missed_target_is_seen() -> None:
    """The last cell says what was asked and whether it was reached."""
    ours, theirs = Series("Sentinel", (7.0,)), Series("python3", (1.0,))
    missed = Line("launch", Unit.SECONDS, ours, theirs, Target(Of.RATIO, 6.0))
    assert table.cells(missed) == (
        *("launch", "7.00 s", "python3", "1.00 s", "7.00", "1"),
        "ratio at most 6.00: MISSED",
    )


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        (
            Line("saved", Unit.SUCCESSES, Series("Sentinel", (1, 1, 0)), None, Target(Of.EVERY)),
            ("saved", "2 of 3", "", "", "", "3", "always: MISSED"),
        ),
        (
            Line("late", Unit.SECONDS, Series("Sentinel", ()), None, Target(Of.MEDIAN, 0.1)),
            ("late", "not seen", "", "", "", "0", "median 100 ms: not known"),
        ),
        (
            Line("over", Unit.FRACTION, Series("Sentinel", (0.02, 0.04)), Series("loop", (0.2,))),
            ("over", "3.00 % [2.00, 4.00]", "loop", "20.0 %", "0.15", "2/1", ""),
        ),
        (
            Line(
                *("half", Unit.COUNT, Series("Sentinel", (1,)), Series("loop", (4,))),
                Target(Of.MEDIANS, 0.5),
            ),
            ("half", "1", "loop", "4", "0.25", "1", "median at most 0.5 of theirs: met"),
        ),
    ],
    ids=lambda value: value.what if isinstance(value, Line) else "",
)
def test_cells_say_what_there_is(line: Line, cells: tuple[str, ...]) -> None:
    """Successes are counted, nothing seen is said, unequal rounds are both told."""
    assert table.cells(line) == cells


def test_a_table_for_a_terminal_is_aligned() -> None:
    """Columns are as wide as their widest cell."""
    lines = [
        Line("a", Unit.COUNT, Series("Sentinel", (1,))),
        Line("longer than its heading", Unit.COUNT, Series("Sentinel", (20,))),
    ]
    heading, first, second = table.as_text(lines).splitlines()
    assert heading.index("Sentinel") == first.index("1") == second.index("20")


def test_a_table_for_a_page_escapes_its_cells() -> None:
    """A bar in a name does not end a cell, and a missed target stands out."""
    line = Line("a|b", Unit.COUNT, Series("Sentinel", (1,)), None, Target(Of.WORST, 0))
    assert table.as_markdown([("6.1", line)]).splitlines() == [
        "| where | measured | Sentinel | against | there | ratio | n | target |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| 6.1 | a\\|b | 1 |  |  |  | 1 | never over 0: **missed** |",
    ]

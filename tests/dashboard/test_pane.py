"""The pane: a command's bytes as a screen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from sentinel.dashboard.board import Size
from sentinel.dashboard.pane import RENEWED, Pane


def shown(pane: Pane) -> list[str]:
    """The lines of the screen that have something on them."""
    return [line.plain for line in pane.lines() if line.plain]


def fed(data: bytes, size: Size = Size(20, 4)) -> Pane:  # noqa: B008 - never changed
    """A pane that got `data`."""
    pane = Pane(size)
    pane.feed(data)
    return pane


def test_lines_and_carriage_returns() -> None:
    """A line end begins a new line, a carriage return writes over the present one."""
    assert shown(fed(b"one\ntwo\n 10%\r 20%\r100%")) == ["one", "two", "100%"]


def test_the_newest_lines_stay() -> None:
    """The screen scrolls."""
    lines = b"".join(b"%d\n" % number for number in range(9))
    assert shown(fed(lines)) == ["6", "7", "8"]


def test_moving_the_cursor() -> None:
    """Bars that are drawn one above the other look as they should."""
    assert shown(fed(b"a 1\nb 1\n\x1b[2Aa 2\nb 3\n")) == ["a 2", "b 3"]


def test_colours() -> None:
    """They are kept, named and as numbers, and nothing else of a sequence is."""
    pane = fed(b"\x1b[31mred\x1b[0m \x1b[1;33mbold\x1b[0m \x1b[38;2;1;2;3mrgb\x1b[0m")
    line = pane.lines()[0]
    styles = {str(line.plain[span.start : span.end]): str(span.style) for span in line.spans}
    assert (styles["red"], styles["bold"], styles["rgb"]) == ("red", "bold yellow", "#010203")


def test_titles_and_modes_reach_nobody() -> None:
    """What a terminal would obey is swallowed."""
    assert shown(fed(b"\x1b]0;owned\x07\x1b[?1049h\x1b[?25lshown\x1b]8;;http://x\x07")) == ["shown"]


def test_another_size() -> None:
    """The newest output is drawn again for it."""
    pane = fed(b"0123456789ABCDEF\nlast")
    pane.resize(Size(10, 4))
    assert shown(pane) == ["0123456789", "ABCDEF", "last"]
    pane.resize(Size(20, 1))
    assert shown(pane) == ["last"]


def test_a_sequence_without_an_end_hides_no_more_than_a_piece() -> None:
    """The screen is made anew now and then."""
    pane = fed(b"\x1b]0;" + b"x" * RENEWED)
    pane.feed(b"\n\nseen again")
    assert shown(pane)[-1] == "seen again"


@given(st.binary(max_size=300), st.integers(1, 30), st.integers(1, 6))
def test_any_bytes(data: bytes, columns: int, rows: int) -> None:
    """No byte is an error; the picture holds nothing that a terminal would obey."""
    pane = fed(data, Size(columns, rows))
    pane.feed(b"\x1b[>4;2m\x1b[?3h\x1b[99999;99999H" + data)
    pane.resize(Size(columns + 1, rows))
    lines = pane.lines()
    assert len(lines) == rows
    assert all(line.plain.isprintable() for line in lines)
    assert all(cell_len(line.plain) <= 2 * columns + 2 for line in lines)

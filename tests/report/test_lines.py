"""One thing said is one line, whatever is in it."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.report.lines import LONGEST_LINE, line, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, café …", "plain text, café …"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("\x1b[31mred\x07\x00", "\\x1b[31mred\\x07\\x00"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u2028b\u202egnp", "a\\u2028b\\u202egnp"),
        (os.fsdecode(b"caf\xe9"), "caf\\xe9"),
        ("\ud800", "\\ud800"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_what_cannot_be_shown_is_escaped(text: str, shown: str) -> None:
    """Control characters, line ends, direction marks and undecodable bytes become escapes."""
    assert printable(text) == shown


@given(st.text(st.characters(categories=None)))
def test_a_line_is_one_line(text: str) -> None:
    """Any text at all makes one prefixed line without a control character."""
    data = line(text)
    assert data.startswith(b"sentinel: ")
    assert data.endswith(b"\n")
    assert data.decode()[:-1].isprintable()
    assert len(data) <= LONGEST_LINE


@pytest.mark.parametrize("letter", ["x", "é", "…", "\n", "😀"])
@pytest.mark.parametrize("count", range(1015, 1030))
def test_a_long_line_is_cut_between_characters(letter: str, count: int) -> None:
    """No line is longer than a pipe takes at once, and none ends in half a character."""
    data = line(letter * count * 4)
    assert LONGEST_LINE - 8 <= len(data) <= LONGEST_LINE or data == line(letter * count * 4)
    assert len(data) <= LONGEST_LINE
    data.decode()

"""Keys: bytes become names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.dashboard.keys import Keyboard


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"qs+", ["q", "s", "+"]),
        (b"\x1b[A\x1bOB", ["up", "down"]),
        (b"\x1b[5~\x1b[6~\x1b[H\x1b[F", ["page up", "page down", "home", "end"]),
        (b"\x03\x1a\x1c\x0c\r", ["interrupt", "suspend", "quit signal", "redraw", "enter"]),
        (b"\x1b[1;5Ay", ["", "y"]),
        (b"\x1bxk", ["", "k"]),
        ("é".encode(), ["", ""]),
    ],
)
def test_keys(data: bytes, keys: list[str]) -> None:
    """A sequence is one key, an unknown one is none, and what follows is not lost."""
    assert Keyboard().feed(data) == keys


def test_a_lone_escape_is_the_escape_key() -> None:
    """Once nothing has followed it."""
    keyboard = Keyboard()
    found = [keyboard.unfinished]
    assert keyboard.feed(b"\x1b") == []
    found.append(keyboard.unfinished)
    assert keyboard.rest() == ["escape"]
    found.append(keyboard.unfinished)
    assert found == [False, True, False]
    assert keyboard.rest() == []


@given(st.lists(st.sampled_from([b"q", b"\x1b[A", b"\x1bOB", b"\x1b[6~", b"s"])), st.data())
def test_sequences_may_be_cut_anywhere(typed: list[bytes], data: st.DataObject) -> None:
    """The keys are the same as of one piece."""
    whole = b"".join(typed)
    cut = data.draw(st.integers(0, len(whole)))
    keyboard = Keyboard()
    assert keyboard.feed(whole[:cut]) + keyboard.feed(whole[cut:]) == Keyboard().feed(whole)


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    """Nothing is held back for long: what begins like a sequence without end is given up."""
    keyboard = Keyboard()
    keyboard.feed(data)
    keyboard.feed(b"\x1b[" + b"0" * 40)
    keyboard.feed(b"0" * 40)
    assert len(keyboard.feed(b"q" * 40)) > 0

"""Signal names and numbers against the C library's, and the refusals."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.model.errors import UsageFault
from sentinel.model.signals import NUMBERS, RTMAX, RTMIN, parse_signal, signal_name


def test_the_table_is_the_c_librarys() -> None:
    """Every name that Python knows means the same number here."""
    assert {
        name: parse_signal(name) for name in signal.Signals.__members__
    } == signal.Signals.__members__
    assert (RTMIN, RTMAX) == (signal.SIGRTMIN, signal.SIGRTMAX)


@given(st.sampled_from([*range(1, 32), *range(RTMIN, RTMAX + 1)]))
def test_every_name_reads_back(number: int) -> None:
    """The name and the number of each signal mean that signal."""
    assert parse_signal(signal_name(number)) == number
    assert parse_signal(str(number)) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("TERM", 15),
        ("SIGTERM", 15),
        ("sigterm", 15),
        (" term ", 15),
        ("15", 15),
        ("RTMIN", 34),
        ("rtmin+0", 34),
        ("RTMIN+3", 37),
        ("SIGRTMIN+30", 64),
        ("RTMAX", 64),
        ("RTMAX-1", 63),
        ("RTMAX-30", 34),
        ("CLD", 17),
    ],
)
def test_a_signal_is_named_in_many_ways(text: str, number: int) -> None:
    """With or without SIG, in any case, by number, or counted from the real-time ends."""
    assert parse_signal(text) == number


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("TREM", "did you mean TERM?"),
        ("SIGHUB", "did you mean HUP?"),
        ("usr3", "did you mean USR2?"),
        ("", "use a name like TERM or RTMIN+3, or a number; `kill -l` lists them"),
        ("0", "use a name like TERM or RTMIN+3, or a number; `kill -l` lists them"),
        ("32", "use a name like TERM or RTMIN+3, or a number; `kill -l` lists them"),
        ("65", "use a name like TERM or RTMIN+3, or a number; `kill -l` lists them"),
        ("-9", "use a name like TERM or RTMIN+3, or a number; `kill -l` lists them"),
        ("9" * 5000, "use a name like TERM or RTMIN+3, or a number; `kill -l` lists them"),
        ("RTMIN+31", "did you mean RTMIN?"),
        ("RTMAX-31", "did you mean RTMAX?"),
        ("RTMIN+", "did you mean RTMIN?"),
        ("RTMIN+-1", "did you mean RTMIN?"),
    ],
)
def test_an_unknown_signal_is_refused_with_the_nearest(text: str, hint: str) -> None:
    """The refusal quotes the word and says what may have been meant."""
    with pytest.raises(UsageFault) as caught:
        parse_signal(text)
    assert str(caught.value) == f"{text!r} is no signal; {hint}"


@given(st.text())
def test_any_text_is_a_signal_or_a_usage_fault(text: str) -> None:
    """No text brings another error."""
    with suppress(UsageFault):
        assert parse_signal(text) in range(1, 65)


def test_a_number_without_a_name_is_still_said() -> None:
    """What the table does not know is shown as a number."""
    assert signal_name(32) == "signal 32"
    assert signal_name(99) == "signal 99"
    assert signal_name(NUMBERS["SEGV"]) == "SIGSEGV"

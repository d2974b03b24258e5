"""How a run is called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.config.naming import LONGEST_NAME, checked_name, default_name
from sentinel.model.errors import UsageFault


@pytest.mark.parametrize(
    ("argv0", "name"),
    [
        (b"leaker", "leaker"),
        (b"/usr/bin/python3", "python3"),
        (b"./a b", "a b"),
        (b"bin/", "bin"),
        (b"caf\xc3\xa9", "café"),
        (b"caf\xe9", "caf\\xe9"),
        (b"a\nb\x1b[31m", "a_b_[31m"),
        (b"", "command"),
        (b"/", "command"),
        (b"..", "command"),
        (b" ", "command"),
        (b"x" * 100, "x" * 64),
        ("é".encode() * 100, "é" * 32),
        (b"x" + "é".encode() * 100, "x" + "é" * 31),
    ],
)
def test_a_run_is_called_as_its_command(argv0: bytes, name: str) -> None:
    """The basename, cleaned of what no name may hold, and cut to what fits."""
    assert default_name(argv0) == name


@given(st.binary(max_size=200))
def test_every_default_name_is_a_valid_name(argv0: bytes) -> None:
    """Whatever bytes a command is called by, its run has a usable name."""
    name = default_name(argv0)
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["worker", "a b", "café", "x" * LONGEST_NAME, "-2", "…"])
def test_a_short_word_is_a_name(name: str) -> None:
    """Up to 64 bytes of anything that can be shown, but for slashes."""
    assert checked_name(name) == name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        (".", "means a directory"),
        ("..", "means a directory"),
        ("a/b", "has a slash in it"),
        ("a\nb", "has characters in it that cannot be shown"),
        ("a\x00", "has characters in it that cannot be shown"),
        ("a\x9b", "has characters in it that cannot be shown"),
        ("\u202egnp", "has characters in it that cannot be shown"),
        ("a\udcff", "has characters in it that cannot be shown"),
        ("x" * 65, "is longer than 64 bytes"),
        ("é" * 33, "is longer than 64 bytes"),
    ],
)
def test_what_is_no_name_is_refused(name: str, problem: str) -> None:
    """The refusal quotes the name, says what is wrong with it, and offers another."""
    with pytest.raises(UsageFault) as caught:
        checked_name(name)
    assert str(caught.value) == f"{name!r} {problem}; use a short word like worker"

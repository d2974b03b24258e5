"""Sizes and durations, as people write them and as Sentinel shows them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.model.errors import EXIT_USAGE, UsageFault
from sentinel.model.units import (
    GIB,
    KIB,
    LARGEST_SIZE,
    LONGEST_DURATION,
    MIB,
    TIB,
    format_duration,
    format_size,
    parse_decimal,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1048576", MIB),
        ("1048576b", MIB),
        ("1048576B", MIB),
        ("64k", 64 * KIB),
        ("64K", 64 * KIB),
        ("64KB", 64 * KIB),
        ("64KiB", 64 * KIB),
        ("200M", 200 * MIB),
        ("200 M", 200 * MIB),
        (" 200M ", 200 * MIB),
        ("1.5G", GIB + GIB // 2),
        (".5G", GIB // 2),
        ("2T", 2 * TIB),
        ("9223372036854775807", LARGEST_SIZE),
        ("8388607T", 8388607 * TIB),
        ("50%", 1500 * MIB),
        ("100%", 3000 * MIB),
        ("0.1%", 3000 * MIB // 1000),
    ],
)
def test_a_size_means_its_bytes(text: str, size: int) -> None:
    """Units are powers of 1024, case and `iB` do not matter, and a percentage is of the whole."""
    assert parse_size(text, whole=3000 * MIB) == size


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "M", "-1", "+1", "1e9", "1_000", "0x10", "nan", "inf", "1.2.3", "12X", "1Mb/s"),
        *("٣M", "1 0M", "M1", "9" * 41, "9" * 5000, "max", "\n", "1\x00"),
    ],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    """The refusal quotes the text and shows how a size is written."""
    with pytest.raises(UsageFault) as caught:
        parse_size(text)
    assert str(caught.value) == f"{text!r} is not a size; write it like 200M, 1.5G or 1048576"
    assert caught.value.exit_status == EXIT_USAGE


def test_a_percentage_needs_a_whole() -> None:
    """Where a percentage means nothing it is refused, and elsewhere it is offered."""
    with pytest.raises(UsageFault) as caught:
        parse_size("50%")
    assert str(caught.value) == "'50%' is not a size; write it like 200M, 1.5G or 1048576"
    with pytest.raises(UsageFault) as caught:
        parse_size("x", whole=GIB)
    assert str(caught.value) == "'x' is not a size; write it like 200M, 1.5G or 50%"


def test_more_than_everything_is_refused() -> None:
    """A percentage above 100 is more than there is."""
    with pytest.raises(UsageFault) as caught:
        parse_size("100.1%", whole=GIB)
    assert str(caught.value) == "size '100.1%' is more than all there is; use at most 100%"


@pytest.mark.parametrize("text", ["9223372036854775808", "8388608T", "9999999999999999999.5T"])
def test_a_size_beyond_the_kernel_is_refused(text: str) -> None:
    """Page counters end at 2^63-1 bytes."""
    with pytest.raises(UsageFault) as caught:
        parse_size(text)
    assert str(caught.value) == (
        f"size {text!r} is beyond what the kernel can count; use at most 8388607T"
    )


@given(st.text())
def test_any_text_is_a_size_or_a_usage_fault(text: str) -> None:
    """No text brings another error, or a size that the kernel cannot hold."""
    with suppress(UsageFault):
        assert 0 <= parse_size(text, whole=GIB) <= LARGEST_SIZE


@given(st.integers(min_value=0, max_value=LARGEST_SIZE))
def test_bare_bytes_round_trip(size: int) -> None:
    """Every byte count survives being written down."""
    assert parse_size(str(size)) == size


@given(st.integers(min_value=0, max_value=LARGEST_SIZE // 2))
def test_a_shown_size_reads_back_within_a_twentieth(size: int) -> None:
    """What people are shown is a size that they can type, near the true one."""
    assert abs(parse_size(format_size(size)) - size) <= 0.05 * size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (KIB, "1K"),
        (MIB - 1, "1024K"),
        (200 * MIB, "200M"),
        (201 * MIB + 300 * KIB, "201.3M"),
        (1.5 * GIB, "1.5G"),
        (19.2 * GIB, "19.2G"),
        (1000 * TIB, "1000T"),
    ],
)
def test_a_size_is_shown_short(size: float, text: str) -> None:
    """One digit after the point, none where it would be zero."""
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("3", 3.0),
        ("3s", 3.0),
        ("250ms", 0.25),
        ("1.5m", 90.0),
        ("2min", 120.0),
        ("2h", 7200.0),
        ("1d", 86400.0),
        ("36500d", LONGEST_DURATION),
    ],
)
def test_a_duration_means_its_seconds(text: str, seconds: float) -> None:
    """Bare numbers are seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1e3", "nan", "inf", "3 weeks", "3S s", "9" * 41])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """The refusal quotes the text and shows how a duration is written."""
    with pytest.raises(UsageFault) as caught:
        parse_duration(text)
    assert str(caught.value) == f"{text!r} is not a duration; write it like 3s, 250ms, 5m or 2h"


def test_a_duration_beyond_the_clock_is_refused() -> None:
    """More than a hundred years would overflow the kernel's nanoseconds sooner or later."""
    with pytest.raises(UsageFault) as caught:
        parse_duration("36501d")
    assert str(caught.value) == "duration '36501d' is over a hundred years; use at most 36500d"


@given(st.text())
def test_any_text_is_a_duration_or_a_usage_fault(text: str) -> None:
    """No text brings another error, or a duration that no timer can take."""
    with suppress(UsageFault):
        assert 0 <= parse_duration(text) <= LONGEST_DURATION


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.0004, "0ms"),
        (0.12, "120ms"),
        (0.9996, "1s"),
        (3.0, "3s"),
        (3.25, "3.2s"),
        (59.94, "59.9s"),
        (59.97, "1m00s"),
        (61.0, "1m01s"),
        (3599.7, "1h00m"),
        (7265.0, "2h01m"),
    ],
)
def test_a_duration_is_shown_short(seconds: float, text: str) -> None:
    """The unit grows with the duration, and sixty of one are never shown."""
    assert format_duration(seconds) == text


def test_a_decimal_is_plain() -> None:
    """Exponents, signs, separators and other scripts' digits are not plain decimals."""
    assert parse_decimal("1.50") == 1.5
    assert [parse_decimal(text) for text in ("1e3", "-1", "1_0", ".", "٣", "")] == [None] * 6

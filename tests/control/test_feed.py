"""What a reader of events has still to get: bounded, oldest lost first, and told how many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sentinel.control.answers import lost_line
from sentinel.control.feed import MOST_BYTES, MOST_LINES, Feed


def drained(feed: Feed) -> list[bytes]:
    """All that it has to send."""
    return list(iter(feed.take, b""))


def test_lines_come_in_order() -> None:
    """And once."""
    feed = Feed()
    assert not feed
    for line in (b"a\n", b"b\n", b"c\n"):
        feed.add(line)
    assert feed
    assert drained(feed) == [b"a\n", b"b\n", b"c\n"]
    assert drained(feed) == []


def test_one_line_too_many_drops_the_oldest_and_says_so_first() -> None:
    """The count is of all that were lost since the reader last heard."""
    feed = Feed()
    lines = [b"%d\n" % number for number in range(MOST_LINES + 3)]
    for line in lines:
        feed.add(line)
    assert drained(feed) == [lost_line(3).encode(), *lines[3:]]
    feed.add(b"more\n")
    assert drained(feed) == [b"more\n"]


def test_long_lines_are_bounded_in_bytes() -> None:
    """The newest is kept whatever its size."""
    feed = Feed()
    for letter in b"abc":
        feed.add(bytes([letter]) * (MOST_BYTES // 2))
    assert [line[:1] for line in drained(feed)] == [lost_line(1).encode()[:1], b"b", b"c"]
    feed.add(b"x" * 2 * MOST_BYTES)
    assert drained(feed) == [b"x" * 2 * MOST_BYTES]


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=MOST_BYTES // 3), st.none()), max_size=60))
def test_every_line_is_told_or_counted(steps: list[bytes | None]) -> None:
    """Whatever comes and is taken (None) in between."""
    feed, told, lost, added = Feed(), 0, 0, 0
    for step in [*steps, *[None] * 200]:
        if step is not None:
            feed.add(b"line" + step)
            added += 1
            continue
        line = feed.take()
        if line.startswith(b"line"):
            told += 1
        elif line:
            lost += int(line.rpartition(b":")[2].strip(b"}\n"))
    assert told + lost == added

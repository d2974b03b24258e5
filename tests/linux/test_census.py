"""What one process has, read from /proc/PID/stat."""

from __future__ import annotations

import os

from sentinel.linux.census import Resident, parse_resident, resident

PAGE = os.sysconf("SC_PAGE_SIZE")
LINE = (
    b"77 (a) b (c\xff) S 70 77 77 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 5 0 12345 9999999 640 "
    b"18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
)


def test_a_line_is_read_whatever_the_name_holds() -> None:
    """Spaces, parentheses, and bytes that are no UTF-8."""
    assert parse_resident(LINE) == Resident(77, 70, "a) b (c\\xff", "S", 640 * PAGE, 5)


def test_this_process_is_found_and_nobody_is_not() -> None:
    """A number that no process has is None."""
    found = resident(os.getpid())
    assert found is not None
    assert (found.pid, found.parent, found.state) == (os.getpid(), os.getppid(), "R")
    assert found.rss > PAGE
    assert found.threads >= 1
    assert resident(1 << 30) is None

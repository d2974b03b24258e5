"""What this process holds of anonymous memory."""

from __future__ import annotations

import os
from pathlib import Path

from sentinel.linux.ownmemory import OwnMemory

PAGE = os.sysconf("SC_PAGE_SIZE")


def test_growth_is_seen() -> None:
    """32 MiB that this process fills are in it, less what the kernel has not added up yet."""
    own = OwnMemory()
    before = own.anon()
    held = bytearray(b"x") * (32 << 20)
    after = own.anon()
    own.close()
    assert before is not None
    assert after is not None
    assert after - before >= 28 << 20, len(held)


def test_shared_pages_are_left_out(tmp_path: Path) -> None:
    """proc(5): size resident shared text lib data dt, in pages."""
    file = tmp_path / "statm"
    file.write_text("1000 300 100 50 0 200 0\n")
    own = OwnMemory(str(file))
    assert own.anon() == 200 * PAGE
    own.close()


def test_what_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    """No file, or nothing in it: not 0."""
    missing = OwnMemory(str(tmp_path / "none"))
    assert missing.anon() is None
    missing.close()
    file = tmp_path / "statm"
    file.write_text("")
    empty = OwnMemory(str(file))
    assert empty.anon() is None
    empty.close()
    assert empty.anon() is None

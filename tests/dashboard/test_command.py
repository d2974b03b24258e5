"""`sentinel top` as a verb."""

from __future__ import annotations

import os

import pytest
from rich.cells import cell_len

from sentinel.commands import top
from sentinel.dashboard.once import is_live, table_text
from sentinel.model.errors import UsageFault
from tests.dashboard.boards import LEAK


@pytest.mark.parametrize("word", ["-a", "--all"])
def test_all_users_runs_are_for_root(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    """Everybody else is told what to do."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageFault) as fault:
        top.command().main([word], "sentinel top", standalone_mode=False)
    assert str(fault.value) == (
        "the runs of all users are for root to see; leave --all out, or use sudo"
    )


def test_a_dashboard_needs_a_terminal() -> None:
    """Not a pipe, whatever TERM says."""
    reading, writing = os.pipe()
    try:
        assert not is_live(reading, writing, "xterm")
    finally:
        os.close(reading)
        os.close(writing)


def test_a_wide_name_is_whole_in_the_table_for_pipes() -> None:
    """Its room is counted in columns: a wide letter takes two."""
    name = "\u65e5\u672c\u8a9e" * 7
    heading, line = table_text((LEAK._replace(name=name),)).splitlines()
    assert line.split()[0] == name
    assert cell_len(heading[: heading.index("STATE")]) == cell_len(line[: line.index("watching")])

"""`sentinel top` as a verb."""

from __future__ import annotations

import os

import pytest

from sentinel.commands import top
from sentinel.dashboard.once import is_live
from sentinel.model.errors import UsageFault


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

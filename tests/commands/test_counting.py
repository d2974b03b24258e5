"""Counting runs that nobody attends, when counting itself fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sentinel.commands.counting import Count
from sentinel.model.outcome import Moment, Verdict
from sentinel.model.spec import Command
from tests.metrics.trees import make_cgroup
from tests.report.outcomes import outcome

COMMAND = Command((b"/bin/worker",), ())


def test_what_cannot_be_imported_any_more_costs_the_word_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guard without a free descriptor goes on, and says at the end what was lost."""
    monkeypatch.setitem(sys.modules, "sentinel.metrics.lastword", None)
    count = Count(COMMAND)
    count.told(Moment(0.1, "emptied"), str(make_cgroup(tmp_path / "leaf")))
    lost = count.ended(outcome(Verdict.EXITED))
    assert lost.startswith("the run's last metrics are lost: ")


def test_who_was_attended_is_counted_by_those_who_came() -> None:
    """A second word would count the run twice."""
    count = Count(COMMAND)
    count.attended = True
    assert count.ended(outcome(Verdict.EXITED)) == ""

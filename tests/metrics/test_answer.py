"""What a guard tells, as metrics, and what becomes of nonsense."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.metrics.answer import answer_values, parse_answer
from sentinel.metrics.catalogue import ROWS, Histogram, observed
from sentinel.model.spec import Limits
from sentinel.model.status import Actions
from tests.metrics.answers import MIB, STATUS, answered


def test_a_guard_without_a_leaf_tells_memory_too() -> None:
    """Working set as confirmed by PSS, and the peak that was sampled; no counter of events."""
    values = answer_values(answered(), has_leaf=False)
    assert values["sentinel_memory_working_set_bytes"] == {(): 30 * MIB}
    assert values["sentinel_memory_peak_bytes"] == {(): 50 * MIB}
    assert values["sentinel_memory_soft_limit_bytes"] == {(): 100 * MIB}
    assert values["sentinel_memory_hard_limit_bytes"] == {(): 150 * MIB}
    assert "sentinel_memory_high_ignored_total" not in values
    assert values["sentinel_run_state"][("watching",)] == 1.0
    assert sum(1 for value in values["sentinel_run_state"].values() if value == 1.0) == 1


def test_a_guard_with_a_leaf_leaves_memory_to_the_kernel() -> None:
    """What it adds is what only it knows."""
    values = answer_values(answered(), has_leaf=True)
    assert values["sentinel_memory_high_ignored_total"] == {("reclaimable",): 4}
    assert "sentinel_memory_working_set_bytes" not in values
    assert "sentinel_memory_peak_bytes" not in values


def test_actions_are_told_from_0_and_stops_as_histograms() -> None:
    """Every action has a series before it was ever taken."""
    values = answer_values(answered(), has_leaf=True)
    assert values["sentinel_actions_total"] == {
        ("lift",): 1,
        ("sigterm",): 1,
        ("sigkill",): 0,
        ("cgroup_kill",): 0,
        ("freeze",): 0,
        ("thaw",): 0,
        ("reclaim",): 0,
    }
    reaction = values["sentinel_reaction_seconds"][()]
    assert reaction == observed(ROWS["sentinel_reaction_seconds"], (0.03,))
    assert values["sentinel_termination_seconds"][()] == Histogram(
        (0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0), 0.2
    )


def test_no_limit_and_no_reading_are_left_out() -> None:
    """Null is unknown, never 0."""
    status = STATUS._replace(reading=None, limits=Limits(soft=5 * MIB, hard=None))
    values = answer_values(answered(status, Actions({})), has_leaf=False)
    assert "sentinel_memory_hard_limit_bytes" not in values
    assert "sentinel_memory_working_set_bytes" not in values


def test_an_answer_is_read_back_from_its_line() -> None:
    """What the control room writes is understood."""
    document = answered()
    assert parse_answer(json.dumps(document).encode() + b"\n") == document


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b'{"error": "not permitted"}',
        b"\xff\xfe",
        b"[" * 99999,
    ],
)
def test_what_is_no_answer_is_none(line: bytes) -> None:
    """An error, half a line, or another protocol."""
    assert parse_answer(line) is None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
KEYS = ("state", "memory", "peak", "limits", "high_events", "soft", "ignored", "current", "lift")


@settings(max_examples=40)
@given(
    st.dictionaries(
        st.sampled_from(("status", "actions", "reactions", "terminations")),
        ANYTHING | st.dictionaries(st.sampled_from(KEYS), ANYTHING),
    ),
    st.booleans(),
)
def test_no_answer_can_hurt(document: dict[str, object], has_leaf: bool) -> None:  # noqa: FBT001
    """Whatever stands in an answer, what is made of it are numbers from 0 up."""
    for of in answer_values(document, has_leaf=has_leaf).values():
        for value in of.values():
            total = value.total if isinstance(value, Histogram) else value
            assert 0 <= total < float("inf")


@pytest.mark.parametrize("number", [-1, True, "7", float("nan"), float("inf"), 10**400, None, []])
def test_a_number_that_is_none_is_left_out(number: object) -> None:
    """Negative, infinite, too large for a float, or no number."""
    values = answer_values({"status": {"limits": {"soft": number}}}, has_leaf=True)
    assert "sentinel_memory_soft_limit_bytes" not in values

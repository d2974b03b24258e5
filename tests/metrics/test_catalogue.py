"""The table of metrics: names, kinds, and the arithmetic of what stands in it."""

from __future__ import annotations

import re

import pytest

from sentinel.guard.deeds import KINDS
from sentinel.metrics.catalogue import (
    ACTIONS,
    BUILD_INFO,
    CATALOGUE,
    KEPT_AFTER_THE_END,
    ROWS,
    STATES,
    VERDICTS,
    Histogram,
    Kind,
    Values,
    added,
    clean,
    observed,
    one_hot,
    put,
)
from sentinel.model.outcome import Verdict
from sentinel.policy.escalation import State

EXPECTED = {
    "sentinel_memory_current_bytes": (),
    "sentinel_memory_working_set_bytes": (),
    "sentinel_memory_anon_bytes": (),
    "sentinel_memory_composition_bytes": ("kind",),
    "sentinel_memory_peak_bytes": (),
    "sentinel_memory_anon_peak_bytes": (),
    "sentinel_memory_swap_current_bytes": (),
    "sentinel_memory_soft_limit_bytes": (),
    "sentinel_memory_hard_limit_bytes": (),
    "sentinel_memory_effective_limit_bytes": (),
    "sentinel_memory_events_total": ("event",),
    "sentinel_memory_high_ignored_total": ("reason",),
    "sentinel_memory_pgfault_total": (),
    "sentinel_memory_pgmajfault_total": (),
    "sentinel_memory_workingset_refault_total": ("kind",),
    "sentinel_pressure_seconds_total": ("resource", "kind"),
    "sentinel_cpu_seconds_total": ("mode",),
    "sentinel_io_bytes_total": ("direction",),
    "sentinel_tasks": (),
    "sentinel_processes": (),
    "sentinel_open_fds": (),
    "sentinel_tcp_sockets": ("state",),
    "sentinel_run_info": ("backend", "command", "version"),
    "sentinel_run_state": ("state",),
    "sentinel_run_start_time_seconds": (),
    "sentinel_runs_ended_total": ("verdict",),
    "sentinel_actions_total": ("action",),
    "sentinel_reaction_seconds": (),
    "sentinel_termination_seconds": (),
    "sentinel_memory_growth_bytes_per_second": (),
    "sentinel_memory_growth_confidence_ratio": (),
    "sentinel_memory_limit_eta_seconds": (),
    "sentinel_last_collection_timestamp_seconds": (),
}
"""The names that dashboards and rules are built on: to rename one is to break them."""


def test_names_labels_and_order_are_the_contract() -> None:
    """Every row is there under its name, memory.current first."""
    assert {row.name: row.labels for row in CATALOGUE} == EXPECTED
    assert [row.name for row in CATALOGUE] == list(EXPECTED)
    assert BUILD_INFO.name == "sentinel_build_info"


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_a_counter_is_called_total_and_help_is_a_sentence(row: object) -> None:
    """Names follow the kind; the help is one line that ends in a full stop."""
    found = ROWS[getattr(row, "name", "")]
    assert (found.kind is Kind.COUNTER) == found.name.endswith("_total")
    assert bool(found.buckets) == (found.kind is Kind.HISTOGRAM)
    assert found.help.endswith(".")
    assert "\n" not in found.help
    assert re.fullmatch(r"sentinel_[a-z0-9_]+", found.name)


def test_states_actions_and_verdicts_are_those_of_the_guard() -> None:
    """What a guard can say has a place in the table."""
    assert {state.value for state in State} <= set(STATES)
    assert ACTIONS == KINDS
    assert tuple(verdict.value for verdict in Verdict) == VERDICTS


def test_what_stays_after_the_end_is_counters_peaks_info_and_state() -> None:
    """No gauge that could be taken for now."""
    gauges = {name for name in KEPT_AFTER_THE_END if ROWS[name].kind is Kind.GAUGE}
    assert gauges == {
        "sentinel_memory_peak_bytes",
        "sentinel_memory_anon_peak_bytes",
        "sentinel_run_info",
        "sentinel_run_state",
    }
    assert {row.name for row in CATALOGUE if row.kind is not Kind.GAUGE} <= KEPT_AFTER_THE_END


def test_unknown_is_absent() -> None:
    """None puts nothing, 0 puts 0."""
    values: Values = {}
    put(values, "sentinel_tasks", None)
    assert values == {}
    put(values, "sentinel_tasks", 0)
    assert values == {"sentinel_tasks": {(): 0}}


def test_a_state_is_one_hot() -> None:
    """Exactly one is 1."""
    assert one_hot("b", ("a", "b")) == {("a",): 0.0, ("b",): 1.0}


def test_observations_fall_into_their_buckets() -> None:
    """A bound belongs to its bucket; what is beyond the last is counted too."""
    row = ROWS["sentinel_reaction_seconds"]
    found = observed(row, (0.001, 0.0011, 2.5, 99.0))
    assert found.counts == (1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1)
    assert found.total == pytest.approx(101.5021)


def test_counters_are_summed_and_gauges_are_not() -> None:
    """What is live wins where it is no counter; keys of either side are kept."""
    live: Values = {
        "sentinel_actions_total": {("lift",): 1.0},
        "sentinel_memory_peak_bytes": {(): 5.0},
        "sentinel_reaction_seconds": {(): Histogram((1,) * 12, 1.0)},
    }
    past: Values = {
        "sentinel_actions_total": {("lift",): 2.0, ("freeze",): 3.0},
        "sentinel_memory_peak_bytes": {(): 9.0},
        "sentinel_reaction_seconds": {(): Histogram((2,) * 12, 0.5)},
    }
    assert added(live, past) == {
        "sentinel_actions_total": {("lift",): 3.0, ("freeze",): 3.0},
        "sentinel_memory_peak_bytes": {(): 5.0},
        "sentinel_reaction_seconds": {(): Histogram((3,) * 12, 1.5)},
    }
    assert live["sentinel_actions_total"] == {("lift",): 1.0}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ('qu"ote\\', 'qu"ote\\'),
        ("new\nline", "new\nline"),
        (b"b\xff\xfe".decode(errors="surrogateescape"), "b\\xff\\xfe"),
        ("lone \ud800", "lone \\ud800"),
        ("grün", "grün"),
    ],
)
def test_label_values_can_be_written_as_utf_8(text: str, shown: str) -> None:
    """Bytes of a name that are no UTF-8 are shown; escaping is the format's business."""
    assert clean(text) == shown
    assert clean(text).encode().decode() == shown

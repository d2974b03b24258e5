"""The metrics: one table, from which the collector, the text and the page in docs are made.

A row is named here and nowhere else; whoever measures puts values under these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from sentinel.model.outcome import Verdict

RUN = "run"
"""The label that every row of a run has first."""

STATES = (
    *("starting", "watching", "pressed", "terminating", "lingering", "killing"),
    *("backoff", "done", "failed"),
)
DONE = "done"
ACTIONS = ("lift", "sigterm", "sigkill", "cgroup_kill", "freeze", "thaw", "reclaim")
VERDICTS = tuple(verdict.value for verdict in Verdict)

REACTION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
TERMINATION_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Kind(Enum):
    """Types of metrics, as Prometheus calls them."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Row(NamedTuple):
    """One metric: what it is called, what it is, and its labels besides `run`."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


class Histogram(NamedTuple):
    """Observations by bucket, the last one without a bound; not cumulative. Sum in seconds."""

    counts: tuple[int, ...]
    total: float


Value = float | Histogram
Values = dict[str, dict[tuple[str, ...], Value]]
"""By name of the row, by values of its labels besides `run`. What is not known is not there."""

_G, _C, _H = Kind.GAUGE, Kind.COUNTER, Kind.HISTOGRAM
_M = "sentinel_memory_"

_MEMORY = (
    Row(f"{_M}current_bytes", _G, "memory.current: all memory of the run; rss: summed RSS."),
    Row(
        f"{_M}working_set_bytes",
        _G,
        "memory.stat: what reclaim cannot free; rss: the last value confirmed by PSS.",
    ),
    Row(f"{_M}anon_bytes", _G, "memory.stat anon: the leak signal; rss: /proc/PID/statm."),
    Row(
        f"{_M}composition_bytes",
        _G,
        "memory.stat, split so that the parts sum to current.",
        ("kind",),
    ),
    Row(f"{_M}peak_bytes", _G, "memory.peak: the largest memory.current; rss: as sampled."),
    Row(f"{_M}anon_peak_bytes", _G, "memory.stat anon: the largest value sampled."),
    Row(f"{_M}swap_current_bytes", _G, "memory.swap.current: swapped out."),
    Row(f"{_M}soft_limit_bytes", _G, "Soft limit on the working set (memory.high while armed)."),
    Row(f"{_M}hard_limit_bytes", _G, "Hard limit of the run (memory.max)."),
    Row(
        f"{_M}effective_limit_bytes",
        _G,
        "Tightest memory.max of the leaf, or memory.max or memory.high of a cgroup above it.",
    ),
    Row(f"{_M}events_total", _C, "memory.events: how often each happened.", ("event",)),
    Row(
        f"{_M}high_ignored_total",
        _C,
        "Wake-ups by memory.events that signalled nobody: the memory could be reclaimed.",
        ("reason",),
    ),
    Row(f"{_M}pgfault_total", _C, "memory.stat pgfault: page faults."),
    Row(f"{_M}pgmajfault_total", _C, "memory.stat pgmajfault: page faults that waited for a disk."),
    Row(
        f"{_M}workingset_refault_total",
        _C,
        "memory.stat workingset_refault_*: pages wanted again after they were reclaimed.",
        ("kind",),
    ),
)
_LOAD = (
    Row(
        "sentinel_pressure_seconds_total",
        _C,
        "memory.pressure, cpu.pressure, io.pressure: time in which some or all tasks waited.",
        ("resource", "kind"),
    ),
    Row("sentinel_cpu_seconds_total", _C, "cpu.stat: CPU time used.", ("mode",)),
    Row("sentinel_io_bytes_total", _C, "io.stat: bytes moved, all devices.", ("direction",)),
    Row("sentinel_tasks", _G, "pids.current or cgroup.threads: all threads; rss: /proc/PID/stat."),
    Row("sentinel_processes", _G, "cgroup.procs: processes; rss: the run's family in /proc."),
    Row("sentinel_open_fds", _G, "/proc/PID/fd: open descriptors of all processes; on request."),
    Row(
        "sentinel_tcp_sockets",
        _G,
        "sock_diag(7): TCP sockets by the cgroup that opened them; on request.",
        ("state",),
    ),
)
_RUN = (
    Row(
        "sentinel_run_info",
        _G,
        "Always 1; what the run is and how it is watched.",
        ("backend", "command", "version"),
    ),
    Row(
        "sentinel_run_state",
        _G,
        "1 for the state that the run is in, 0 for all others.",
        ("state",),
    ),
    Row("sentinel_run_start_time_seconds", _G, "When the command was started, since the epoch."),
    Row("sentinel_runs_ended_total", _C, "Runs of this name that ended, by verdict.", ("verdict",)),
    Row("sentinel_actions_total", _C, "What Sentinel did to the run.", ("action",)),
    Row(
        "sentinel_reaction_seconds",
        _H,
        "From the wake-up by memory.events to the polite signal.",
        (),
        REACTION_BUCKETS,
    ),
    Row(
        "sentinel_termination_seconds",
        _H,
        "From the polite signal to populated 0 in cgroup.events.",
        (),
        TERMINATION_BUCKETS,
    ),
    Row(
        f"{_M}growth_bytes_per_second",
        _G,
        "Slope of the floor of memory.stat anon: Theil-Sen over twelve windows.",
    ),
    Row(
        f"{_M}growth_confidence_ratio",
        _G,
        "How steadily the floor of memory.stat anon rises: Kendall's tau, from 0 to 1.",
    ),
    Row(
        f"{_M}limit_eta_seconds",
        _G,
        "Time until the soft limit at that growth; +Inf when it does not grow.",
    ),
    Row("sentinel_last_collection_timestamp_seconds", _G, "When this run was last read."),
)

CATALOGUE = (*_MEMORY, *_LOAD, *_RUN)
"""Every row of a run, in the order in which they are told."""

BUILD_INFO = Row("sentinel_build_info", _G, "Always 1; the version of the exporter.", ("version",))

ROWS: Mapping[str, Row] = {row.name: row for row in CATALOGUE}

KEPT_AFTER_THE_END = frozenset(
    {
        *(row.name for row in CATALOGUE if row.kind is not Kind.GAUGE),
        f"{_M}peak_bytes",
        f"{_M}anon_peak_bytes",
        "sentinel_run_info",
        "sentinel_run_state",
    }
)
"""What a run that is over still shows: nothing that could be taken for now."""


def one_hot(word: str, words: tuple[str, ...]) -> dict[tuple[str, ...], Value]:
    """1 for `word`, 0 for the others of `words`."""
    return {(each,): float(each == word) for each in words}


def observed(row: Row, seconds: tuple[float, ...]) -> Histogram:
    """The histogram of `seconds` for `row`."""
    counts = [0] * (len(row.buckets) + 1)
    for value in seconds:
        counts[sum(value > bound for bound in row.buckets)] += 1
    return Histogram(tuple(counts), sum(seconds))


def put(values: Values, name: str, value: Value | None, *labels: str) -> None:
    """Set one value; None, which nobody knows, leaves it out."""
    if value is not None:
        values.setdefault(name, {})[labels] = value


def added(one: Values, other: Values) -> Values:
    """Counters of both, summed; gauges are those of `one`, or else of `other`."""
    total: Values = {name: dict(of) for name, of in one.items()}
    for name, of in other.items():
        mine = total.setdefault(name, {})
        for labels, value in of.items():
            before = mine.get(labels)
            if before is None:
                mine[labels] = value
            elif ROWS[name].kind is not Kind.GAUGE:
                mine[labels] = _sum(before, value)
    return total


def _sum(one: Value, other: Value) -> Value:
    if isinstance(one, Histogram) and isinstance(other, Histogram):
        counts = tuple(a + b for a, b in zip(one.counts, other.counts, strict=True))
        return Histogram(counts, one.total + other.total)
    if isinstance(one, Histogram) or isinstance(other, Histogram):
        raise TypeError("a histogram and a number cannot be added")
    return one + other


def clean(text: str) -> str:
    r"""A label's value as UTF-8 can write it: a byte that is no UTF-8 becomes `\xff`."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # lone surrogates of other origin, as JSON can hold
        return text.encode("utf-8", "backslashreplace").decode()

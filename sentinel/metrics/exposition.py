"""One run's metrics as text, written by its own guard for the socket's `metrics` verb.

Without prometheus_client, which is half as big as the guard. The format is Prometheus's text
format 0.0.4.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from sentinel import __version__
from sentinel.metrics.catalogue import (
    CATALOGUE,
    RUN,
    VERDICTS,
    Histogram,
    Row,
    Value,
    Values,
    clean,
    put,
)

if TYPE_CHECKING:
    from sentinel.model.status import Actions, RunStatus


def run_text(status: RunStatus, actions: Actions, wall: float) -> str:
    """What a live run tells of itself at `wall`, seconds since the epoch.

    The rows of its cgroup are read at once, where it has one; what cannot be read is left out.
    """
    values = _of_cgroup(status)
    for name, of in _of_guard(status, actions).items():
        values.setdefault(name, of)
    put(values, "sentinel_last_collection_timestamp_seconds", wall)
    return formatted(status.name, values)


def _of_cgroup(status: RunStatus) -> Values:
    from sentinel.metrics.leaf import PRESENT, leaf_values
    from sentinel.metrics.leaffiles import read_leaf
    from sentinel.model.errors import KernelFileError

    if not status.leaf:
        return {}
    try:
        texts = read_leaf(status.leaf, PRESENT)
        return leaf_values(status.leaf, texts, {}) if texts else {}
    except KernelFileError:
        return {}


def _of_guard(status: RunStatus, actions: Actions) -> Values:
    from sentinel.metrics.answer import put_actions, put_state

    values: Values = {}
    memory = "sentinel_memory_"
    reading, tally = status.reading, status.tally
    if reading is not None:
        put(values, f"{memory}current_bytes", reading.current)
        put(values, f"{memory}working_set_bytes", reading.working_set)
        put(values, f"{memory}anon_bytes", reading.anon)
        parts = {} if reading.composition is None else reading.composition._asdict()
        for kind, size in parts.items():
            put(values, f"{memory}composition_bytes", size, kind)
    put(values, f"{memory}peak_bytes", tally.peak_current)
    put(values, f"{memory}soft_limit_bytes", status.limits.soft)
    put(values, f"{memory}hard_limit_bytes", status.limits.hard)
    if status.leaf:
        put(values, f"{memory}high_ignored_total", tally.high_ignored, "reclaimable")
    put(values, f"{memory}growth_bytes_per_second", status.growth)
    if status.growth is not None:
        eta = status.time_to_limit
        put(values, f"{memory}limit_eta_seconds", float("inf") if eta is None else eta)
    put(values, "sentinel_run_info", 1, status.backend, status.command, __version__)
    put_state(values, status.state)
    put(values, "sentinel_run_start_time_seconds", status.started)
    put_actions(values, actions)
    for verdict in VERDICTS:
        put(values, "sentinel_runs_ended_total", 0, verdict)
    return values


def formatted(name: str, values: Values) -> str:
    """The rows of the run `name`, in the order of the catalogue."""
    lines = []
    for row in CATALOGUE:
        if row.name in values:
            lines.append(f"# HELP {row.name} {_escaped(row.help)}")
            lines.append(f"# TYPE {row.name} {row.kind.value}")
            for labels, value in values[row.name].items():
                pairs = list(zip((RUN, *row.labels), (name, *labels), strict=True))
                lines += _samples(row, pairs, value)
    return "".join(f"{line}\n" for line in lines)


def _samples(row: Row, pairs: list[tuple[str, str]], value: Value) -> list[str]:
    if not isinstance(value, Histogram):
        return [f"{row.name}{_labels(pairs)} {_number(value)}"]
    bounds = (*map(_number, row.buckets), "+Inf")
    counts = list(accumulate(value.counts))
    lines = [
        f"{row.name}_bucket{_labels([*pairs, ('le', bound)])} {_number(count)}"
        for bound, count in zip(bounds, counts, strict=True)
    ]
    lines.append(f"{row.name}_count{_labels(pairs)} {_number(counts[-1])}")
    lines.append(f"{row.name}_sum{_labels(pairs)} {_number(value.total)}")
    return lines


def _labels(pairs: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f'{name}="{_quoted(clean(value))}"' for name, value in pairs) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return repr(float(value))

"""The answers of a run's socket, from JSON to types. What is missing or wrong is None.

Nothing here is taken on trust: the other side may be another version of Sentinel, or, for root,
a program of anybody's that listens where a run should.
"""

from __future__ import annotations

import json
import math

from sentinel.dashboard.board import Happened, Process
from sentinel.model.signals import SIGTERM
from sentinel.model.snapshot import Composition, Reading
from sentinel.model.spec import Count, Limits, StopPlan
from sentinel.model.status import Pressure, RunStatus, Tally

LONGEST_TEXT = 400
MOST_PROCESSES = 200
LARGEST = 1 << 63

Table = dict[str, object]


def table(text: str) -> Table:
    """The JSON object in `text`; empty when there is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def refusal(answer: Table) -> str:
    """What an answer complains of; empty when it is one."""
    return _text(answer, "error")


def status(answer: Table) -> RunStatus | None:
    """The answer to `status json`; None when it is none."""
    limits = _table(answer, "limits")
    soft = _count(limits, "soft")
    if soft is None or "state" not in answer:
        return None
    pressure = _table(answer, "pressure")
    some, full = _number(pressure, "some"), _number(pressure, "full")
    return RunStatus(
        name=_text(answer, "name"),
        state=_text(answer, "state"),
        verdict=_text(answer, "verdict"),
        backend=_text(answer, "backend"),
        pid=_count(answer, "pid") or 0,
        leaf=_text(answer, "leaf"),
        command=_text(answer, "command"),
        started=_number(answer, "started") or 0.0,
        elapsed=_number(answer, "elapsed") or 0.0,
        reading=_reading(answer),
        tally=_tally(answer),
        limits=_limits(limits, soft),
        stop=StopPlan(SIGTERM, grace=_number(answer, "grace") or 0.0),
        growth=_number(answer, "growth"),
        frozen=answer.get("frozen") is True,
        pressure=None if some is None or full is None else Pressure(some, full),
    )


def _limits(limits: Table, soft: int) -> Limits:
    counts = {count.value: count for count in Count}
    return Limits(
        soft=soft,
        hard=_count(limits, "hard"),
        swap=_count(limits, "swap") or 0,
        pids=_count(limits, "pids"),
        cpus=_number(limits, "cpus"),
        counted=counts.get(_text(limits, "count"), Count.WORKINGSET),
    )


def _tally(answer: Table) -> Tally:
    peak, high = _table(answer, "peak"), _table(answer, "high_events")
    return Tally(
        peak_current=_count(peak, "current"),
        peak_working_set=_count(peak, "working_set"),
        high_events=_count(high, "counted") or 0,
        high_ignored=_count(high, "ignored") or 0,
    )


def _reading(answer: Table) -> Reading | None:
    memory = _table(answer, "memory")
    current = _count(memory, "current")
    if current is None:
        return None
    parts = _table(memory, "composition")
    sizes = [_count(parts, name) for name in Composition._fields]
    return Reading(
        at=0.0,
        current=current,
        working_set=_count(memory, "working_set"),
        anon=_count(memory, "anon"),
        composition=Composition(*(size or 0 for size in sizes)) if any(sizes) else None,
        tasks=_count(memory, "tasks"),
    )


def processes(answer: Table) -> tuple[tuple[Process, ...], int]:
    """The answer to `tree json`: the processes and how many more there are."""
    rows = answer.get("processes")
    listed = rows if isinstance(rows, list) else []
    found = [_process(row) for row in listed if isinstance(row, dict)]
    return tuple(found[:MOST_PROCESSES]), _count(answer, "omitted") or 0


def _process(row: Table) -> Process:
    return Process(
        pid=_count(row, "pid") or 0,
        parent=_count(row, "parent") or 0,
        name=_text(row, "name"),
        state=_text(row, "state"),
        rss=_count(row, "rss"),
        threads=_count(row, "threads"),
    )


def happened(line: Table) -> Happened | None:
    """A line of `events`; None for the first one, which only greets."""
    what = _text(line, "event")
    if what in ("", "hello"):
        return None
    detail = _text(line, "detail") or _text(line, "verdict")
    if what == "lost":
        detail = f"{_count(line, 'count') or 'some'} lines, read too slowly"
    return Happened(_number(line, "at") or 0.0, what, detail, _count(line, "current"))


def verdict(line: Table) -> str | None:
    """How the run ended, when `line` of `events` is the last one; None before."""
    return (_text(line, "verdict") or "over") if line.get("event") == "over" else None


def _table(of: Table, key: str) -> Table:
    found = of.get(key)
    return found if isinstance(found, dict) else {}


def _text(of: Table, key: str) -> str:
    found = of.get(key)
    return found[:LONGEST_TEXT] if isinstance(found, str) else ""


def _number(of: Table, key: str) -> float | None:
    found = of.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if abs(found) < LARGEST and math.isfinite(found) else None


def _count(of: Table, key: str) -> int | None:
    number = _number(of, key)
    return int(number) if number is not None and number >= 0 else None

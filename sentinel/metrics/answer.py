"""What a guard answers to `metrics json`, as metrics.

The answer is data of another process: whatever in it is not what it should be is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from sentinel.metrics.catalogue import (
    ACTIONS,
    ROWS,
    STATES,
    Values,
    observed,
    one_hot,
    put,
)
from sentinel.model.status import Actions

_REACTION = ROWS["sentinel_reaction_seconds"]
_TERMINATION = ROWS["sentinel_termination_seconds"]
_MOST_STOPS = 1000
_COUNTED = {"anon": "anon_bytes", "total": "current_bytes"}


def parse_answer(line: bytes) -> Mapping[str, object] | None:
    """The document; None when it is none, or an error."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and "status" in document else None


def answer_values(document: Mapping[str, object], *, has_leaf: bool) -> Values:
    """The guard's own rows. With a leaf, memory itself is the kernel's to tell."""
    values: Values = {}
    status = _mapping(document.get("status"))
    limits, peak = _mapping(status.get("limits")), _mapping(status.get("peak"))
    events = _mapping(status.get("high_events"))
    put_state(values, status.get("state"))
    put(values, "sentinel_memory_soft_limit_bytes", _number(limits.get("soft")))
    put(values, "sentinel_memory_hard_limit_bytes", _number(limits.get("hard")))
    ignored = _number(events.get("ignored"))
    if has_leaf:
        put(values, "sentinel_memory_high_ignored_total", ignored, "reclaimable")
    else:
        memory = _mapping(status.get("memory"))
        put(values, "sentinel_memory_working_set_bytes", _number(memory.get("working_set")))
        put(values, "sentinel_memory_peak_bytes", _number(peak.get("current")))
    counts = _mapping(document.get("actions"))
    found = {action: _number(counts.get(action)) for action in ACTIONS}
    known = {action: int(count) for action, count in found.items() if count is not None}
    reactions, terminations = document.get("reactions"), document.get("terminations")
    put_actions(values, Actions(known, _seconds(reactions), _seconds(terminations)))
    return values


def counted_row(document: Mapping[str, object]) -> str:
    """The row that is compared with the soft limit (`--count`); the working set unless told."""
    count = _mapping(_mapping(document.get("status")).get("limits")).get("count")
    row = _COUNTED.get(count) if isinstance(count, str) else None
    return f"sentinel_memory_{row or 'working_set_bytes'}"


def put_state(values: Values, state: object) -> None:
    """The state, one-hot; a word that the table does not know is left out."""
    if isinstance(state, str) and state in STATES:
        values["sentinel_run_state"] = one_hot(state, STATES)


def put_actions(values: Values, actions: Actions) -> None:
    """What was done, every kind from 0, and how long it took."""
    for action in ACTIONS:
        put(values, "sentinel_actions_total", float(actions.counts.get(action, 0)), action)
    put(values, _REACTION.name, observed(_REACTION, actions.reactions))
    put(values, _TERMINATION.name, observed(_TERMINATION, actions.terminations))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _seconds(value: object) -> tuple[float, ...]:
    items = value[:_MOST_STOPS] if isinstance(value, list) else ()
    return tuple(number for item in items if (number := _number(item)) is not None)

"""Memory in words: what was over which limit, and what it was made of."""

from __future__ import annotations

from sentinel.model.snapshot import Composition, Reading
from sentinel.model.spec import Count, Limits
from sentinel.model.units import format_size

SMALLEST_SHARE = 0.01
"""Parts of a composition below this share of it are left out."""


def over_limit(reading: Reading, limits: Limits, verb: str) -> str:
    """`working set 201M is over the 200M limit`, with `verb` for `is`."""
    what, size = _compared(reading, limits)
    shown, limit = format_size(size), format_size(limits.soft)
    by = f" {format_size(size - limits.soft)}" if shown == limit and size > limits.soft else ""
    return f"{what} {shown} {verb}{by} over the {limit} limit"


def _compared(reading: Reading, limits: Limits) -> tuple[str, int]:
    """The counted part; all memory where that was what stood over the limit."""
    counted = {
        Count.ANON: ("anon", reading.anon),
        Count.WORKINGSET: ("working set", reading.working_set),
        Count.TOTAL: ("memory", reading.current),
    }
    what, size = counted[limits.counted]
    if size is None or size <= limits.soft:
        return "memory", reading.current
    return what, size


def largest_share(composition: Composition | None) -> str:
    """` (anon 99%)`: the part that weighs most; empty when nothing is known."""
    if composition is None or not sum(composition):
        return ""
    name, size = composition.largest()
    return f" ({name} {size / sum(composition):.0%})"


def made_of(composition: Composition | None) -> str:
    """` (anon 198M, file 3M)`: the parts that count, largest first; empty when not known."""
    if composition is None or not sum(composition):
        return ""
    parts = sorted(zip(composition._fields, composition, strict=True), key=lambda part: -part[1])
    least = SMALLEST_SHARE * sum(composition)
    return f" ({', '.join(f'{name} {format_size(size)}' for name, size in parts if size >= least)})"

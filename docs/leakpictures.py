"""Pictures of a real leak for docs/seeing-it.md, drawn from what an exporter told of it.

The recording is tests/observability/batches.txt; `make diagram` draws it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from docs.chart import Band, Chart, Line, draw
from tests.observability.recording import Recording, read

MIB = 1 << 20

ORANGE, BLUE, RED, DARK_RED, GREEN = "#d9730d", "#1f4e8c", "#c62828", "#7f1d1d", "#2e7d32"
BROWN, GREY = "#5d4037", "#8a939c"
FLOOR_SECONDS = 6.0
"""One batch: what is held at its end is what is not given back."""


class Leak(NamedTuple):
    """A recording from its first scrape to its last with memory, in seconds and MiB."""

    recording: Recording
    times: tuple[float, ...]

    def of(self, name: str, **labels: str) -> list[float]:
        """One series."""
        values = self.recording.one(name, **labels)[: len(self.times)]
        return [0.0 if value is None else value / MIB for value in values]


def leak() -> Leak:
    """The recorded run while it lived."""
    recorded = read()
    current = recorded.one("sentinel_memory_current_bytes")
    lived = sum(value is not None for value in current)
    began = recorded.times[0]
    return Leak(recorded, tuple(at - began for at in recorded.times[:lived]))


def floor(times: Sequence[float], values: Sequence[float]) -> list[float]:
    """The least of the last FLOOR_SECONDS, as min_over_time has it."""
    return [
        min(
            value
            for at, value in zip(times, values, strict=True)
            if now - FLOOR_SECONDS <= at <= now
        )
        for now in times
    ]


def staircase(run: Leak) -> str:
    """Anonymous memory, its floor, and the limits."""
    anon = run.of("sentinel_memory_anon_bytes")
    soft = run.of("sentinel_memory_soft_limit_bytes")
    hard = run.of("sentinel_memory_hard_limit_bytes")
    lines = [
        Line("hard limit", DARK_RED, hard, dashed=True),
        Line("soft limit", RED, soft, dashed=True),
        Line("anon", ORANGE, anon),
        Line("floor", BLUE, floor(run.times, anon), wide=True, stepped=True),
    ]
    told = "Every batch keeps a part of what it took: the floor climbs, up to the soft limit."
    return draw(Chart("A leak is a staircase", told, run.times, lines=lines))


def composition(run: Leak) -> str:
    """What memory.current is made of."""
    kinds = (("anon", ORANGE), ("file", BLUE), ("kernel", GREEN), ("other", GREY))
    bands = [
        Band(kind, ink, run.of("sentinel_memory_composition_bytes", kind=kind))
        for kind, ink in kinds
    ]
    lines = [Line("soft limit", RED, run.of("sentinel_memory_soft_limit_bytes"), dashed=True)]
    told = (
        "Page cache fills what is free up to the limit, and is given back for nothing. Anon is not."
    )
    return draw(Chart("The same run, by what its memory is", told, run.times, bands, lines))


def pictures() -> dict[str, str]:
    """Each picture by its path below the root of the checkout."""
    run = leak()
    return {
        "docs/leak-composition.svg": composition(run),
        "docs/leak-staircase.svg": staircase(run),
    }

"""Rounds in which every contestant runs once, so that a drift of the machine hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


def interleaved(
    contestants: Mapping[str, Callable[[], T]], rounds: int, warm_up: int = 0
) -> dict[str, tuple[T, ...]]:
    """Run A B A B ...; what each returned, in the order of the rounds, warm-up rounds left out."""
    found: dict[str, list[T]] = {name: [] for name in contestants}
    for _ in range(warm_up + rounds):
        for name, run in contestants.items():
            found[name].append(run())
    return {name: tuple(values[warm_up:]) for name, values in found.items()}

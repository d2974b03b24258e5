"""The processes of a run, the largest first: looked at a few at a time, never all at once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from sentinel.control.answers import SCHEMA, dumped, shown
from sentinel.linux.census import Resident
from sentinel.model.units import format_size

MOST = 200
"""Processes in an answer."""
STEP = 4
"""Processes looked at before others have their turn: 40 microseconds on a plain machine."""
DEEPEST = 20
"""Levels that are indented."""

Look = Callable[[int], Resident | None]
Survey = Generator[None, None, tuple[list[Resident], int]]


def survey(pids: Sequence[int], look: Look) -> Survey:
    """The largest MOST of `pids` and how many more there are; pauses after every few looks."""
    found: list[Resident] = []
    omitted = 0
    for count, pid in enumerate(pids, 1):
        one = look(pid)
        if one is not None:
            found.append(one)
        if len(found) == 2 * MOST:
            omitted += len(found) - MOST
            found = _largest(found)
        if count % STEP == 0:
            yield
    return _largest(found), omitted + max(0, len(found) - MOST)


def _largest(found: list[Resident]) -> list[Resident]:
    return sorted(found, key=lambda one: (-one.rss, one.pid))[:MOST]


def tree_json(name: str, found: Sequence[Resident], omitted: int) -> str:
    """One line of JSON."""
    rows = [one._asdict() for one in found]
    return dumped({"schema": SCHEMA, "name": name, "processes": rows, "omitted": omitted})


def tree_text(found: Sequence[Resident], omitted: int) -> str:
    """The processes below their parents; among siblings the largest first."""
    pids = {one.pid for one in found}
    below: dict[int, list[Resident]] = {}
    for one in reversed(found):
        below.setdefault(one.parent if one.parent in pids else 0, []).append(one)
    lines = [f"{'rss':>8} {'pid':>8} state threads name"]
    stack = [(0, one) for one in below.get(0, [])]
    while stack:
        depth, one = stack.pop()
        lines.append(_line(one, depth))
        stack += [(depth + 1, child) for child in below.get(one.pid, [])]
    # Looks at different moments may see two numbers as each other's parent: they hang nowhere.
    omitted += len(found) + 1 - len(lines)
    if omitted:
        lines.append(f"and {omitted} more")
    return "".join(line + "\n" for line in lines)


def _line(one: Resident, depth: int) -> str:
    name = "  " * min(depth, DEEPEST) + shown(one.name)
    return f"{format_size(one.rss):>8} {one.pid:>8} {one.state:<5} {one.threads:>7} {name}"

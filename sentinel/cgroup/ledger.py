"""What memory.events counted during a run, from the leaf up to the visible root."""

from __future__ import annotations

import os

from sentinel.cgroup import files
from sentinel.cgroup.tree import Cgroup
from sentinel.model.errors import KernelFileError
from sentinel.model.outcome import CounterDelta


class Ancestry:
    """The leaf and every cgroup above it that has counters, as they stood at the start."""

    def __init__(self, leaf_path: str) -> None:
        """Read the local counters of every level. The real root has none."""
        self._before: dict[str, dict[str, int]] = {}
        path = leaf_path
        while os.path.exists(f"{path}/{files.MEMORY_EVENTS_LOCAL}"):
            self._before[path] = _counts(path)
            path = os.path.dirname(path)

    def deltas(self) -> tuple[CounterDelta, ...]:
        """What each level counted since the start, leaf first; levels without news are left out."""
        found = []
        for path, before in self._before.items():
            delta = files.difference(_counts(path), before)
            if delta:
                found.append(CounterDelta(path, delta))
        return tuple(found)


def _counts(path: str) -> dict[str, int]:
    try:
        cgroup = Cgroup.open(path)
    except KernelFileError:
        return {}
    try:
        return cgroup.counts(files.MEMORY_EVENTS_LOCAL)
    except KernelFileError:
        return {}
    finally:
        cgroup.close()

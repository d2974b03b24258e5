"""What memory.events counted during a run, from the leaf up to the visible root."""

from __future__ import annotations

import os

from sentinel.cgroup import files
from sentinel.cgroup.tree import Cgroup
from sentinel.model.errors import KernelFileError
from sentinel.model.outcome import CounterDelta
from sentinel.policy.oom import decided_above


class Ancestry:
    """The leaf and every cgroup above it that has counters, as they stood at the start."""

    def __init__(self, leaf_path: str) -> None:
        """Read the local counters of every level. The real root has none."""
        self._before: dict[str, dict[str, int]] = {}
        path = leaf_path
        while os.path.exists(f"{path}/{files.MEMORY_EVENTS_LOCAL}"):
            self._before[path] = _counts(path)
            path = os.path.dirname(path)
        self._leaf = leaf_path
        # The real root has controllers, but no limit and no type; above a namespace's there is no
        # cgroupfs. A level whose counters are masked, or older than Linux 5.2, hides what is above.
        self.whole = os.path.exists(f"{path}/{files.CGROUP_CONTROLLERS}") and not os.path.exists(
            f"{path}/{files.CGROUP_TYPE}"
        )

    def deltas(self) -> tuple[CounterDelta, ...]:
        """What each level counted since the start, leaf first; levels without news are left out."""
        found = []
        for path, before in self._before.items():
            delta = files.difference(_counts(path), before)
            if delta:
                found.append(CounterDelta(path, delta))
        return tuple(found)

    def oom_above(self, deltas: tuple[CounterDelta, ...], rescued: int = 0) -> str | None:
        """Whose OOM killed in the leaf, by what `deltas` counted; the leaf must still be there.

        `rescued` of the leaf's own OOMs killed nobody.
        """
        above = [delta for delta in deltas if delta.path != self._leaf]
        inside = _counts(self._leaf, files.MEMORY_EVENTS)
        return decided_above(inside, above, whole=self.whole, rescued=rescued)


def _counts(path: str, name: str = files.MEMORY_EVENTS_LOCAL) -> dict[str, int]:
    try:
        cgroup = Cgroup.open(path)
    except KernelFileError:
        return {}
    try:
        return cgroup.counts(name)
    except KernelFileError:
        return {}
    finally:
        cgroup.close()

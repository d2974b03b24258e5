"""Clearing away the leaves of guards that were SIGKILLed: liveness is the lock, nothing else."""

from __future__ import annotations

import os

from sentinel.cgroup import files
from sentinel.cgroup.leaf import LEAF_PREFIX
from sentinel.cgroup.tree import Cgroup
from sentinel.enclosure import Waiter
from sentinel.linux.locks import try_lock


class LeafSweep:
    """Kills and removes the leaves of dead guards beside a new run's leaf."""

    def __init__(self, parent: Cgroup) -> None:
        """`parent` stays the caller's and may be closed before the sweep."""
        self._parent = Cgroup(os.dup(parent.fd), parent.path)
        self._dying: dict[str, tuple[Cgroup, int]] = {}

    def begin(self, waiter: Waiter) -> None:
        """Kill every leaf that is ours by uid and whose lock nobody holds."""
        for name in self._parent.child_names():
            if not name.startswith(LEAF_PREFIX):
                continue
            cgroup = self._parent.child(name)
            if cgroup is None:
                continue
            if os.fstat(cgroup.fd).st_uid != os.geteuid() or not try_lock(cgroup.fd):
                cgroup.close()
                continue
            events = cgroup.open_file(files.CGROUP_EVENTS)
            os.pread(events, 4096, 0)  # an unread descriptor is ready at once
            cgroup.write(files.CGROUP_KILL, "1")
            waiter.watch(events, self, priority=True)
            self._dying[name] = (cgroup, events)

    def turn(self) -> bool:
        """Remove the leaves that are empty by now; True when none is left."""
        for name, (cgroup, events) in list(self._dying.items()):
            os.pread(events, 4096, 0)
            if not cgroup.is_populated() and not self._parent.remove_child(name):
                self._release(name)
        return not self._dying

    def _release(self, name: str) -> None:
        cgroup, events = self._dying.pop(name)
        os.close(events)
        cgroup.close()

    def close(self) -> None:
        """Release what is still dying."""
        for name in list(self._dying):
            self._release(name)
        self._parent.close()

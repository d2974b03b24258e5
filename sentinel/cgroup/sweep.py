"""Clearing away the leaves of guards that were SIGKILLed: liveness is the lock, nothing else."""

from __future__ import annotations

import os
from contextlib import suppress

from sentinel.cgroup import files
from sentinel.cgroup.leaf import LEAF_PREFIX, is_current
from sentinel.cgroup.tree import Cgroup
from sentinel.enclosure import Waiter
from sentinel.linux.locks import try_lock
from sentinel.model.errors import KernelFileError


class LeafSweep:
    """Kills and removes the leaves of dead guards beside a new run's leaf.

    What cannot be cleared away, for whatever reason, waits for the next start: no leaf of a
    dead run may disturb a living one.
    """

    def __init__(self, parent: Cgroup) -> None:
        """`parent` stays the caller's and may be closed before the sweep."""
        self._parent = parent.twin()
        self._waiter: Waiter | None = None
        self._dying: dict[str, tuple[Cgroup, int]] = {}

    def begin(self, waiter: Waiter) -> None:
        """Kill every leaf that is ours by uid and whose lock nobody holds.

        Raises KernelFileError when the leaves cannot be listed.
        """
        self._waiter = waiter
        for name in self._parent.child_names():
            if name.startswith(LEAF_PREFIX):
                with suppress(KernelFileError):
                    self._condemn(name, waiter)
        self.turn()  # what is empty already will never tell

    def _condemn(self, name: str, waiter: Waiter) -> None:
        """Kill the leaf `name` if its guard is dead. Raises KernelFileError."""
        cgroup = self._parent.child(name)
        if cgroup is None:
            return
        try:
            ours = os.fstat(cgroup.fd).st_uid == os.geteuid()
            events = _kill(cgroup) if ours and try_lock(cgroup.fd) else None
        except KernelFileError:
            cgroup.close()
            raise
        if events is None:
            cgroup.close()
            return
        waiter.watch(events, self, priority=True)
        self._dying[name] = (cgroup, events)

    def turn(self) -> bool:
        """Remove the leaves that are empty by now; True when none is left."""
        for name, (cgroup, events) in list(self._dying.items()):
            with suppress(OSError):  # ENODEV: somebody else removed it
                os.pread(events, _BYTES, 0)
            try:
                if cgroup.is_populated():
                    continue
                if is_current(self._parent, name, cgroup) and self._parent.remove_child(name):
                    continue
            except KernelFileError:
                pass  # no longer ours to look into
            self._release(name)
        return not self._dying

    def _release(self, name: str) -> None:
        cgroup, events = self._dying.pop(name)
        if self._waiter is not None:
            self._waiter.forget(events)
        os.close(events)
        cgroup.close()

    def close(self) -> None:
        """Release what is still dying."""
        for name in list(self._dying):
            self._release(name)
        self._parent.close()


_BYTES = 4096


def _kill(cgroup: Cgroup) -> int:
    """Kill everything in `cgroup`; its cgroup.events, open and read. Raises KernelFileError."""
    events = cgroup.open_file(files.CGROUP_EVENTS)
    try:
        with suppress(OSError):  # an unread descriptor is ready at once
            os.pread(events, _BYTES, 0)
        cgroup.write(files.CGROUP_KILL, "1")
    except KernelFileError:
        os.close(events)
        raise
    return events

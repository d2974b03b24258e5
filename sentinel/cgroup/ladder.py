"""The ladder to a place for a leaf: its steps in order, and what became of each."""

from __future__ import annotations

import os
from collections.abc import Iterator

from sentinel.cgroup import files
from sentinel.cgroup.placement import (
    Host,
    Refusal,
    Step,
    held_by_v1,
    is_namespace_root,
    own_cgroup,
    own_subtree,
)
from sentinel.cgroup.sweep import LeafSweep
from sentinel.cgroup.tree import Cgroup
from sentinel.enclosure import Sweep
from sentinel.model.errors import KernelFileError

SYSTEMD = "systemd scope"
READ_ONLY = "read-only cgroup"
UNREADABLE = "let the container read its /sys/fs/cgroup"


def _steps() -> Iterator[Step]:
    """The steps in order; the module of each is imported when it is its turn."""
    yield own_subtree
    from sentinel.cgroup.namespace import namespace_root

    yield namespace_root
    yield from_systemd


def from_systemd(host: Host, controllers: frozenset[str]) -> Cgroup | Refusal:
    """Ladder step 3; what talks with systemd is imported where there is one."""
    if not host.has_systemd():
        reason = "systemd is not running here"
        return Refusal(SYSTEMD, reason, "see the other steps", applies=False)
    from sentinel.cgroup.scope import systemd_scope

    return systemd_scope(host, controllers)


def find_place(
    controllers: frozenset[str], host: Host | None = None
) -> tuple[Cgroup | None, tuple[Refusal, ...]]:
    """Climb the ladder: the first place for a leaf, and the refusals met on the way."""
    host = host or Host()
    refusals: list[Refusal] = []
    for step in _steps():
        place = step(host, controllers)
        if isinstance(place, Cgroup):
            if host.has_systemd():
                from sentinel.cgroup.coexistence import spare_from_oomd

                spare_from_oomd(place.path)
            return place, tuple(refusals)
        refusals.append(place)
    return None, tuple(refusals)


def observed(host: Host | None = None, *, alone: bool) -> Cgroup | Refusal:
    """Ladder step 4, for an observer: the cgroup that this process is in, to be read.

    `alone`: only the root of a cgroup namespace will do, a container's: what else is in another
    cgroup, a login session for one, is no business of the run's.
    """
    host = host or Host()
    directory = own_cgroup(host)
    if isinstance(directory, Refusal):
        return directory._replace(step=READ_ONLY, applies=False)
    if not os.access(f"{directory}/{files.MEMORY_CURRENT}", os.R_OK):
        by_v1 = held_by_v1(host)
        if by_v1 is not None:
            return by_v1._replace(step=READ_ONLY, applies=False)
        reason = f"{directory} has no {files.MEMORY_CURRENT} to be read"
        remedy = "start it in a cgroup that has the memory controller"
        return Refusal(READ_ONLY, reason, remedy, applies=False)
    if alone and not is_namespace_root(directory):
        reason = f"{directory} is not a container's, others may be in it"
        return Refusal(READ_ONLY, reason, "sentinel exec --backend cgroup-ro", applies=False)
    try:
        return Cgroup.open(directory)
    except KernelFileError as error:
        return Refusal(READ_ONLY, error.message, UNREADABLE)


def sweep_beside(place: Cgroup) -> Sweep:
    """What clears away the runs of dead guards that had a place like `place`, which stays open."""
    name = os.path.basename(place.path)
    if name.endswith(".scope"):
        from sentinel.cgroup.scope import ScopeSweep, is_scope_name

        if is_scope_name(name):
            return ScopeSweep(place)
    return LeafSweep(place)

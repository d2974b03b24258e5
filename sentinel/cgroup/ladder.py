"""The ladder to a place for a leaf: its steps in order, and what became of each."""

from __future__ import annotations

import os
from collections.abc import Iterator

from sentinel.cgroup.placement import Host, Refusal, Step, own_subtree
from sentinel.cgroup.sweep import LeafSweep
from sentinel.cgroup.tree import Cgroup
from sentinel.enclosure import Sweep


def _steps() -> Iterator[Step]:
    """The steps in order; the module of each is imported when it is its turn."""
    yield own_subtree
    from sentinel.cgroup.namespace import namespace_root

    yield namespace_root
    from sentinel.cgroup.scope import systemd_scope

    yield systemd_scope


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


def sweep_beside(place: Cgroup) -> Sweep:
    """What clears away the runs of dead guards that had a place like `place`, which stays open."""
    name = os.path.basename(place.path)
    if name.endswith(".scope"):
        from sentinel.cgroup.scope import ScopeSweep, is_scope_name

        if is_scope_name(name):
            return ScopeSweep(place)
    return LeafSweep(place)

"""Rows that cost more than a few files: they are told to a scraper that asks for them.

`/metrics?with=tcp_sockets&with=open_fds`, or `sentinel metrics --with tcp_sockets`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import NamedTuple

from sentinel.metrics.catalogue import Values, put
from sentinel.metrics.families import open_descriptors
from sentinel.metrics.leaf import cgroup_ids, processes

TCP_SOCKETS = "tcp_sockets"
OPEN_FDS = "open_fds"
WORDS = frozenset({OPEN_FDS, TCP_SOCKETS})
"""What can be asked for."""


class Extras(NamedTuple):
    """What was asked for in one look. `sockets`: TCP states by cgroup id, None: not asked for."""

    open_fds: bool = False
    sockets: Mapping[int, Counter[str]] | None = None

    def put(self, values: Values, leaf: str, family: Collection[int]) -> None:
        """Add what was asked for of the run in `leaf`, or of `family` where there is none."""
        if self.open_fds:
            pids = processes(leaf) if leaf else family
            put(values, "sentinel_open_fds", open_descriptors(pids))
        if self.sockets is not None and leaf:
            total: Counter[str] = Counter()
            for number in cgroup_ids(leaf):
                total.update(self.sockets.get(number, {}))
            for state, count in total.items():
                put(values, "sentinel_tcp_sockets", count, state)


def extras(wanted: Collection[str]) -> Extras:
    """What `wanted`, words of `WORDS`, ask for. Not inside an event loop: pyroute2 has its own."""
    sockets = None
    if TCP_SOCKETS in wanted:
        from sentinel.linux.sockdiag import tcp_states

        try:
            sockets = tcp_states()
        except Exception:  # noqa: BLE001 - whatever netlink or its library refuses: rows are absent
            sockets = None
    return Extras(OPEN_FDS in wanted, sockets)

"""TCP sockets as the kernel's socket monitor tells them."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter

from sentinel.linux.sockdiag import tcp_states


def listening() -> int:
    """How many listeners there are in all cgroups."""
    total: Counter[str] = Counter()
    for states in tcp_states().values():
        total += states
    return total["LISTEN"]


def test_sockets_are_counted_by_cgroup_and_state() -> None:
    """A listener more is a listener more; cgroups have numbers."""
    with socket.create_server(("127.0.0.1", 0)):
        assert listening() >= 1
        assert all(cgroup > 0 for cgroup in tcp_states())


def test_it_can_be_asked_from_a_thread_beside_an_event_loop() -> None:
    """As the exporter does; its library has a loop of its own."""

    async def act() -> dict[int, Counter[str]]:
        return await asyncio.to_thread(tcp_states)

    with socket.create_server(("127.0.0.1", 0)):
        assert asyncio.run(act())

"""TCP sockets by the cgroup that opened them, from the kernel's socket monitor (sock_diag(7)).

Unprivileged. Of this network namespace alone. A socket in TIME_WAIT belongs to no cgroup any
more, and the kernel tells the cgroup since Linux 5.10.
"""

from __future__ import annotations

import socket
from collections import Counter

STATES = {
    1: "ESTABLISHED",
    2: "SYN_SENT",
    3: "SYN_RECV",
    4: "FIN_WAIT1",
    5: "FIN_WAIT2",
    6: "TIME_WAIT",
    7: "CLOSE",
    8: "CLOSE_WAIT",
    9: "LAST_ACK",
    10: "LISTEN",
    11: "CLOSING",
    12: "NEW_SYN_RECV",
}
"""include/net/tcp_states.h."""


def tcp_states() -> dict[int, Counter[str]]:
    """How many sockets are in which state, by cgroup id. Raises OSError."""
    from pyroute2 import DiagSocket

    found: dict[int, Counter[str]] = {}
    with DiagSocket() as diag:
        diag.bind()
        for family in (socket.AF_INET, socket.AF_INET6):
            for answer in diag.get_sock_stats(family=family):
                cgroup = answer.get_attr("INET_DIAG_CGROUP_ID")
                if cgroup:
                    state = answer["idiag_state"]
                    name = STATES.get(state, str(state))
                    found.setdefault(cgroup, Counter())[name] += 1
    return found

"""What this process may use at most: the machine's memory, or the tightest limit above it."""

import os
from typing import NamedTuple

from sentinel.cgroup import files
from sentinel.cgroup.placement import Host, Refusal, own_cgroup
from sentinel.cgroup.tree import Cgroup
from sentinel.model.errors import KernelFileError


class Allowance(NamedTuple):
    """`size` in bytes, and what sets it, for people."""

    size: int
    label: str


def allowance(host: Host | None = None) -> Allowance:
    """The smaller of MemTotal and the tightest visible memory.max or memory.high above us."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    machine = Allowance(total, "the machine's memory")
    return min([machine, *limits_above(host or Host()).values()], key=lambda found: found.size)


def limits_above(host: Host) -> dict[str, Allowance]:
    """The tightest visible memory.max and memory.high above us, by name, where there are any."""
    tightest: dict[str, Allowance] = {}
    path = own_cgroup(host)
    if isinstance(path, Refusal):
        return tightest
    # Where the controller is not enabled, a limit above still counts.
    while os.path.exists(f"{path}/{files.CGROUP_CONTROLLERS}"):
        for name in (files.MEMORY_MAX, files.MEMORY_HIGH):
            limit = _limit(path, name)
            if limit is not None and (name not in tightest or limit < tightest[name].size):
                tightest[name] = Allowance(limit, f"{path}/{name}")
        path = os.path.dirname(path)
    return tightest


def _limit(path: str, name: str) -> int | None:
    try:
        cgroup = Cgroup.open(path)
    except KernelFileError:
        return None
    try:
        text = cgroup.read(name)
        return None if text is None else files.parse_limit(text)
    except (KernelFileError, ValueError):  # ValueError: a container engine masks it with /dev/null
        return None
    finally:
        cgroup.close()

"""The enclosures, each with where it can be had."""

from __future__ import annotations

import psutil
import pytest

from sentinel.cgroup import files
from sentinel.cgroup.enclosure import CgroupEnclosure
from sentinel.cgroup.ladder import find_place
from sentinel.cgroup.leaf import make_leaf
from sentinel.cgroup.observer import Observer
from sentinel.cgroup.tree import Cgroup
from sentinel.enclosure import Enclosure
from sentinel.linux.clock import monotonic
from sentinel.model.spec import Limits
from sentinel.model.units import LARGEST_SIZE
from sentinel.rss.enclosure import RssEnclosure
from sentinel.rss.procfs import Proc
from tests.contract.fake import FakeEnclosure

MIB = 1 << 20
LIMITS = Limits(soft=256 * MIB, hard=384 * MIB)


def fake() -> Enclosure:
    """The one that the guard's tests use."""
    return FakeEnclosure()


def rss() -> Enclosure:
    """The one for machines without cgroup v2."""
    return RssEnclosure(LIMITS)


def cgroup() -> Enclosure:
    """The real one."""
    place, refusals = find_place(frozenset({"memory"}))
    assert place is not None, refusals
    leaf = make_leaf(place, "contract")
    leaf.limit(LIMITS)
    return CgroupEnclosure(leaf, LIMITS)


class Container(Cgroup):
    """Any directory as the cgroup of a container: what this process and all below it hold."""

    def read(self, name: str) -> str | None:
        """Anonymous memory by /proc/PID/statm, and nothing else."""
        if name not in (files.MEMORY_CURRENT, files.MEMORY_STAT):
            return None
        own = psutil.Process()
        held = sum(map(_anon, (own.pid, *(child.pid for child in own.children(recursive=True)))))
        return f"{held}\n" if name == files.MEMORY_CURRENT else f"anon {held}\nactive_anon {held}\n"


def _anon(pid: int) -> int:
    statm = Proc().statm(pid)
    return 0 if statm is None else statm.resident - statm.shared


def observer() -> Enclosure:
    """The one for containers that can only read."""
    crew = RssEnclosure(Limits(LARGEST_SIZE, hard=None), surveys=False)
    return Observer(crew, Container.open("/"), LIMITS, monotonic)


ENCLOSURES = {
    "fake": pytest.param(fake, marks=pytest.mark.native),
    "rss": pytest.param(rss, marks=pytest.mark.native),
    "observer": pytest.param(observer, marks=pytest.mark.native),
    "cgroup": pytest.param(cgroup, marks=pytest.mark.kernel),
}

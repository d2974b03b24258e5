"""The three enclosures, each with where it can be had."""

from __future__ import annotations

import pytest

from sentinel.cgroup.enclosure import CgroupEnclosure
from sentinel.cgroup.ladder import find_place
from sentinel.cgroup.leaf import make_leaf
from sentinel.enclosure import Enclosure
from sentinel.model.spec import Limits
from sentinel.rss.enclosure import RssEnclosure
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


ENCLOSURES = {
    "fake": pytest.param(fake, marks=pytest.mark.native),
    "rss": pytest.param(rss, marks=pytest.mark.native),
    "cgroup": pytest.param(cgroup, marks=pytest.mark.kernel),
}

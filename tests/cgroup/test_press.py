"""Pressing memory down in bites: on a model of a leaf, whose kernel needs time to reclaim."""

from __future__ import annotations

import errno
from itertools import pairwise
from typing import cast

import pytest

from sentinel.cgroup.press import FIRST_BITE, LONGEST_PAUSE, PAUSE, SLOW, STALLED, Press
from sentinel.cgroup.tree import Cgroup
from sentinel.model.errors import KernelFileError

MIB = 1 << 20


class Leaf:
    """A leaf of page cache over what cannot be freed; reclaim takes `cost` seconds per MiB."""

    def __init__(self, current: int, fixed: int = 0, cost: float = 0.0001) -> None:
        self.current, self.fixed, self.cost = current, fixed, cost
        self.now = 1000.0
        self.longest = 0.0
        self.high: list[str] = []
        self.refusal: int | None = None

    def clock(self) -> float:
        """The leaf's own time."""
        return self.now

    def read(self, name: str) -> str:
        """Only memory.current is asked for."""
        assert name == "memory.current"
        return f"{self.current}\n"

    def write(self, name: str, value: str) -> None:
        """Reclaim synchronously, as the kernel does."""
        if self.refusal is not None:
            raise KernelFileError("write", f"/leaf/{name}", self.refusal)
        if name == "memory.high":
            self.high.append(value)
            if value != "max":
                self._free(self.current - int(value))
        elif self._free(int(value)) < int(value):
            raise KernelFileError("write", "/leaf/memory.reclaim", errno.EAGAIN)

    def _free(self, wanted: int) -> int:
        freed = max(0, min(wanted, self.current - self.fixed))
        self.current -= freed
        self.now += freed / MIB * self.cost
        self.longest = max(self.longest, freed / MIB * self.cost)
        return freed


def press_on(leaf: Leaf) -> Press:
    """A press for `leaf`, timed by the leaf's clock."""
    return Press(cast("Cgroup", leaf), leaf.clock)


def run(press: Press) -> list[tuple[str, str]]:
    """Turn until there is nothing to do; the news."""
    told: list[tuple[str, str]] = []
    for _ in range(10_000):
        if not press.busy:
            return told
        pause, news = press.turn()
        told += news
        assert (pause is None) is not press.busy
    raise AssertionError("never done")


def test_a_wire_above_the_usage_is_set_at_once() -> None:
    """Nothing has to give way, so nothing is left to do."""
    leaf = Leaf(10 * MIB)
    press = press_on(leaf)
    press.arm(20 * MIB)
    assert not press.busy
    assert leaf.high == [str(20 * MIB)]


def test_a_wire_below_the_usage_comes_down_in_bites() -> None:
    """Each write reclaims a little; the last one is the target."""
    leaf = Leaf(1024 * MIB)
    press = press_on(leaf)
    press.arm(100 * MIB)
    assert leaf.high == []
    assert run(press) == []
    assert leaf.high[0] == str(1024 * MIB - FIRST_BITE)
    assert leaf.high[-1] == str(100 * MIB)
    assert leaf.high == sorted(leaf.high, key=int, reverse=True)
    assert leaf.current == 100 * MIB


@pytest.mark.parametrize("cost", [0.00001, 0.0003, 0.002])
def test_no_bite_takes_much_longer_than_it_may(cost: float) -> None:
    """The bites are as large as a slow kernel allows, but for those that find out."""
    leaf = Leaf(2048 * MIB, cost=cost)
    press = press_on(leaf)
    press.arm(64 * MIB)
    run(press)
    assert leaf.longest <= max(4 * cost, 2 * SLOW)


@pytest.mark.parametrize(
    ("cost", "bites"),
    [
        (0.000001, [4, 8, 16, 32, 64, 128, 256, 256]),
        (0.00001, [4, 8, 16, 32, 64, 128, 128]),
        (0.0005, [4, 4, 4]),
        (0.0015, [4, 2, 2]),
        (0.01, [4, 2, 1, 1]),
    ],
)
def test_bites_double_while_they_are_quick_and_halve_when_they_are_slow(
    cost: float, bites: list[int]
) -> None:
    """Under a millisecond, over four; from 1 MiB to 256 MiB."""
    leaf = Leaf(2048 * MIB, cost=cost)
    press = press_on(leaf)
    press.arm(0)
    for _ in bites:
        press.turn()
    steps = [2048 * MIB, *map(int, leaf.high)]
    taken = [(before - after) // MIB for before, after in pairwise(steps)]
    assert taken == bites


def test_what_does_not_give_way_is_pressed_ever_more_rarely() -> None:
    """Pages under writeback: the pauses grow, and the wire stays where it is."""
    leaf = Leaf(1024 * MIB, fixed=1024 * MIB)
    press = press_on(leaf)
    press.arm(50 * MIB)
    pauses = [press.turn()[0] for _ in range(8)]
    assert pauses[0] == 2 * PAUSE
    assert pauses[-1] == LONGEST_PAUSE
    leaf.fixed = 0
    assert press.turn()[0] == PAUSE
    run(press)
    assert leaf.current <= 50 * MIB


def lowers(press: Press) -> bool:
    """What it says at this moment."""
    return press.lowers


def test_memory_is_on_its_way_down_while_it_gives_way() -> None:
    """After five seconds in which nothing did, it is not: what is left is there to stay."""
    leaf = Leaf(100 * MIB)
    press = press_on(leaf)
    assert not lowers(press)
    press.arm(50 * MIB)
    assert lowers(press)
    press.turn()
    leaf.fixed = leaf.current
    leaf.now += STALLED - 0.1
    press.turn()
    assert lowers(press)
    leaf.now += 0.2
    assert not lowers(press)
    leaf.fixed = 0
    press.turn()
    assert lowers(press)
    run(press)
    assert not lowers(press)


def test_lifting_ends_the_lowering() -> None:
    """A stop must not find a wire that is still coming down."""
    leaf = Leaf(100 * MIB)
    press = press_on(leaf)
    press.arm(50 * MIB)
    press.lift()
    assert not press.busy
    assert leaf.high == ["max"]


def test_reclaim_says_how_much_it_freed() -> None:
    """All of what was asked for."""
    leaf = Leaf(100 * MIB)
    press = press_on(leaf)
    press.reclaim(30 * MIB)
    assert run(press) == [("reclaimed", "30M")]
    assert leaf.current == 70 * MIB
    press.reclaim(20 * MIB)
    assert run(press) == [("reclaimed", "20M")]


def test_reclaim_ends_where_the_kernel_finds_no_more() -> None:
    """Without a size: until EAGAIN."""
    leaf = Leaf(100 * MIB, fixed=60 * MIB)
    press = press_on(leaf)
    press.reclaim(None)
    assert run(press) == [("reclaimed", "40M")]
    assert leaf.current == 60 * MIB


def test_a_refused_reclaim_is_told() -> None:
    """Any other errno ends it with the kernel's word."""
    leaf = Leaf(100 * MIB)
    press = press_on(leaf)
    press.reclaim(MIB)
    leaf.refusal = errno.EACCES
    ((what, detail),) = run(press)
    assert what == "not reclaimed"
    assert "/leaf/memory.reclaim" in detail


def test_cancelled_it_does_nothing_more() -> None:
    """The run is being stopped."""
    press = press_on(Leaf(100 * MIB))
    press.arm(MIB)
    press.reclaim(None)
    press.cancel()
    assert not press.busy
    assert press.turn() == (None, ())

"""What every level above a leaf counted, and how far up anybody can see."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sentinel.cgroup.ledger import Ancestry
from sentinel.model.outcome import ABOVE_NAMESPACE, THE_HOST, CounterDelta
from tests.cgroup.faketree import Tree


def counted(fake: Tree, path: Path, **texts: str) -> None:
    """Let the kernel have counted: `local` and `events` are whole files."""
    for name, text in texts.items():
        fake.put(path, {"local": "memory.events.local", "events": "memory.events"}[name], text)


@pytest.mark.usefixtures("no_leaks")
def test_every_level_is_compared_with_its_start(fake: Tree) -> None:
    """Leaf first; what was counted before, and levels without news, are left out."""
    leaf = fake.make("a/b/leaf")
    counted(fake, leaf.parent, local="max 3\noom 7\n")
    ancestry = Ancestry(str(leaf))
    counted(fake, leaf, local="max 2\noom_kill 1\n")
    counted(fake, leaf.parent, local="max 4\noom 8\n")
    assert ancestry.deltas() == (
        CounterDelta(str(leaf), {"max": 2, "oom_kill": 1}),
        CounterDelta(str(leaf.parent), {"max": 1, "oom": 1}),
    )


@pytest.mark.usefixtures("no_leaks")
def test_an_oom_of_a_level_above_is_blamed_by_its_path(fake: Tree) -> None:
    """The kill in the leaf, the oom where the limit is."""
    leaf = fake.make("a/b/leaf")
    ancestry = Ancestry(str(leaf))
    counted(fake, leaf, local="oom_kill 1\n", events="oom 0\noom_kill 1\n")
    counted(fake, fake.top / "a", local="oom 1\n")
    assert ancestry.oom_above(ancestry.deltas()) == str(fake.top / "a")


@pytest.mark.usefixtures("no_leaks")
def test_escapes_of_the_leafs_own_are_no_wall(fake: Tree) -> None:
    """An own `oom` that killed nobody, and later a kill for the level above."""
    leaf = fake.make("a/leaf")
    ancestry = Ancestry(str(leaf))
    counted(fake, leaf, local="oom 1\noom_kill 1\n", events="oom 1\noom_kill 1\n")
    counted(fake, fake.top / "a", local="oom 1\n")
    assert ancestry.oom_above(ancestry.deltas()) is None
    assert ancestry.oom_above(ancestry.deltas(), rescued=1) == str(fake.top / "a")


@pytest.mark.usefixtures("no_leaks")
def test_up_to_the_real_root_only_the_machine_is_left(fake: Tree) -> None:
    """It has controllers, and neither counters nor a type."""
    leaf = fake.make("a/leaf")
    ancestry = Ancestry(str(leaf))
    counted(fake, leaf, local="oom_kill 1\n", events="oom_kill 1\n")
    assert ancestry.oom_above(ancestry.deltas()) == THE_HOST


@pytest.mark.usefixtures("no_leaks")
def test_above_a_namespaces_root_nobody_can_see(fake: Tree) -> None:
    """Its mount ends there: a limit above it, or the machine, cannot be told apart."""
    for name in ("cgroup.controllers", "cgroup.subtree_control"):
        os.unlink(fake.top / name)
    leaf = fake.top / "leaf"
    leaf.mkdir()
    fake.furnish(leaf, ["memory"])
    ancestry = Ancestry(str(leaf))
    counted(fake, leaf, local="oom_kill 1\n", events="oom_kill 1\n")
    assert ancestry.oom_above(ancestry.deltas()) == ABOVE_NAMESPACE


@pytest.mark.usefixtures("no_leaks")
def test_a_level_without_counters_hides_what_is_above(fake: Tree) -> None:
    """Masked by a container engine, or Linux before 5.2: not the machine's fault for that."""
    leaf = fake.make("a/b/leaf")
    os.unlink(leaf.parent / "memory.events.local")
    ancestry = Ancestry(str(leaf))
    counted(fake, leaf, local="oom_kill 1\n", events="oom_kill 1\n")
    counted(fake, fake.top / "a", local="oom 1\n")
    assert ancestry.oom_above(ancestry.deltas()) == ABOVE_NAMESPACE


@pytest.mark.usefixtures("no_leaks")
def test_a_level_that_vanished_meanwhile_has_nothing_to_say(fake: Tree) -> None:
    """Nothing is unknown as 0 there: it is left out."""
    leaf = fake.make("a/leaf")
    ancestry = Ancestry(str(leaf))
    for name in ("memory.events.local", "memory.events"):
        (leaf / name).unlink(missing_ok=True)
    assert ancestry.deltas() == ()
    assert ancestry.oom_above(()) is None

"""What only a leaf can meet, on the real kernel: threaded cgroups inside, dead leaves beside."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sentinel.cgroup.ladder import find_place
from sentinel.cgroup.leaf import LEAF_PREFIX, make_leaf
from sentinel.cgroup.sweep import LeafSweep
from sentinel.cgroup.tree import Cgroup
from sentinel.linux.loop import Loop
from tests.contract.kinds import ENCLOSURES
from tests.contract.stage import PATIENCE_SECONDS, Stage
from tests.victims.build import victim

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("make", [ENCLOSURES["cgroup"]], indirect=True)
def test_threaded_cgroups_inside_are_no_hiding_place(stage: Stage) -> None:
    """Their cgroup.procs cannot be read (EOPNOTSUPP); they are counted, asked and killed."""
    main = stage.start(victim(), "signals")
    stage.ready()
    threaded = Path(stage.enclosure.where, "threaded")
    threaded.mkdir()
    (threaded / "cgroup.type").write_text("threaded")
    (threaded / "cgroup.threads").write_text(str(main.pid))
    with pytest.raises(OSError, match="not supported"):
        (threaded / "cgroup.procs").read_text()
    assert stage.living() == {main.pid}
    assert stage.enclosure.ask(15, main_only=False) == 1
    assert stage.enclosure.kill() == 1
    stage.emptied()
    assert stage.close().unremoved == ""
    assert not threaded.parent.exists()


@pytest.mark.parametrize("make", [ENCLOSURES["cgroup"]], indirect=True)
def test_nesting_hundreds_of_levels_deep_is_no_hiding_place(stage: Stage) -> None:
    """Everything inside is found, killed and removed."""
    main = stage.start(victim(), "hold", "size=1M")
    stage.ready()
    path = Path(stage.enclosure.where)
    for _ in range(300):
        path /= "n"
        path.mkdir()
    (path / "cgroup.procs").write_text(str(main.pid))
    assert stage.living() == {main.pid}
    assert stage.enclosure.kill() == 1
    stage.emptied()
    assert stage.close().unremoved == ""
    assert not Path(stage.enclosure.where).exists()


@pytest.fixture
def place() -> Iterator[Cgroup]:
    """Where leaves are made."""
    found, refusals = find_place(frozenset({"memory"}))
    assert found is not None, refusals
    yield found
    found.close()


def leaves(place: Cgroup) -> set[str]:
    """The leaves there."""
    return {name for name in place.child_names() if name.startswith(LEAF_PREFIX)}


def test_the_sweep_clears_dead_leaves_and_no_living_one(place: Cgroup) -> None:
    """An empty one at once, one with survivors as soon as they are dead, a held one never."""
    living = make_leaf(place.twin(), "living")
    dead = {name: make_leaf(place.twin(), name) for name in ("empty", "full")}
    for leaf in dead.values():
        leaf.close()
    full = Path(dead["full"].cgroup.path)
    pid = os.posix_spawn(victim(), [victim(), "hold", "size=1M"], dict(os.environ))
    (full / "cgroup.procs").write_text(str(pid))
    (full / "inner").mkdir()
    mine = {living.name, *(leaf.name for leaf in dead.values())}
    assert mine <= leaves(place)
    loop = Loop()
    sweep = LeafSweep(place)
    try:
        sweep.begin(loop)
        assert dead["empty"].name not in leaves(place)
        limit = time.monotonic() + PATIENCE_SECONDS
        while not sweep.turn():
            assert loop.wait(limit) == {sweep}
        assert leaves(place) & mine == {living.name}
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9
    finally:
        sweep.close()
        loop.close()
        living.remove()
        living.close()

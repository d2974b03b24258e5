"""The sweep: dead guards' leaves go, everything else is left alone, nothing disturbs the run."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sentinel.cgroup.leaf import Leaf, make_leaf
from sentinel.cgroup.sweep import LeafSweep
from sentinel.cgroup.tree import Cgroup
from sentinel.linux.locks import try_lock
from sentinel.model.errors import KernelFileError
from tests.cgroup.faketree import Tree


class Waiting:
    """A waiter that only keeps the books."""

    def __init__(self) -> None:
        self.watched: dict[int, object] = {}

    def watch(self, fd: int, token: object, *, priority: bool = False) -> None:
        """Remember; cgroup.events tells by POLLPRI only."""
        assert priority
        os.fstat(fd)
        self.watched[fd] = token

    def forget(self, fd: int) -> None:
        """Forget what is watched, while it is still open."""
        os.fstat(fd)
        del self.watched[fd]


@pytest.fixture
def waiting() -> Waiting:
    """The books."""
    return Waiting()


@pytest.fixture
def parent(fake: Tree, cgroups: type[Cgroup], request: pytest.FixtureRequest) -> Cgroup:
    """Where leaves are made."""
    request.getfixturevalue("no_leaks")
    fake.make("p/other", procs=(1,))
    return cgroups.open(str(fake.top / "p"))


@pytest.fixture
def swept(parent: Cgroup) -> LeafSweep:
    """A sweep of that place, which closes it: the sweep must not need it any more."""
    made = LeafSweep(parent)
    parent.close()
    return made


def dead(fake: Tree, name: str, *, procs: tuple[int, ...] = ()) -> Path:
    """A leaf whose guard is gone."""
    leaf = fake.make(f"p/sentinel-run-{name}", procs=procs)
    populate(fake, leaf, populated=bool(procs))
    return leaf


def populate(fake: Tree, leaf: Path, *, populated: bool) -> None:
    """Let the kernel say whether somebody lives in `leaf`."""
    fake.put(leaf, "cgroup.events", f"populated {int(populated)}\nfrozen 0\n")
    if not populated:
        fake.put(leaf, "cgroup.procs", "")


def names(fake: Tree) -> list[str]:
    """What is left in the parent."""
    return sorted(path.name for path in (fake.top / "p").iterdir() if path.is_dir())


def test_an_empty_dead_leaf_goes_at_once(fake: Tree, swept: LeafSweep, waiting: Waiting) -> None:
    """Nothing will ever notify of it: it must not wait for the end of the run."""
    dead(fake, "a-1")
    swept.begin(waiting)
    assert names(fake) == ["other"]
    assert swept.turn()
    assert waiting.watched == {}
    swept.close()


def test_a_dead_leaf_with_survivors_is_killed_and_removed_when_empty(
    fake: Tree, swept: LeafSweep, waiting: Waiting
) -> None:
    """The kill is written first; the removal waits for the kernel's word."""
    leaf = dead(fake, "a-1", procs=(7, 8))
    swept.begin(waiting)
    assert fake.log == [("cgroup.kill", "1")]
    assert list(waiting.watched.values()) == [swept]
    assert not swept.turn()
    populate(fake, leaf, populated=False)
    assert swept.turn()
    assert names(fake) == ["other"]
    assert waiting.watched == {}
    swept.close()


def test_nested_cgroups_of_a_dead_run_go_too(
    fake: Tree, swept: LeafSweep, waiting: Waiting
) -> None:
    """And with them the leaf of a run inside that run."""
    dead(fake, "a-1")
    fake.make("p/sentinel-run-a-1/main")
    fake.make("p/sentinel-run-a-1/sentinel-run-b-2")
    swept.begin(waiting)
    assert names(fake) == ["other"]
    swept.close()


def test_a_living_guards_leaf_is_never_touched(
    fake: Tree, cgroups: type[Cgroup], swept: LeafSweep, waiting: Waiting
) -> None:
    """Its lock is held: that alone says that it lives, whatever its name and pid say."""
    place = cgroups.open(str(fake.top / "p"))
    living: Leaf = make_leaf(place, "alive")
    swept.begin(waiting)
    assert names(fake) == ["other", living.name]
    assert fake.log == []
    assert swept.turn()
    swept.close()
    living.close()


def test_other_peoples_leaves_are_never_touched(
    fake: Tree, swept: LeafSweep, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leaf of another uid is not ours to judge."""
    dead(fake, "a-1", procs=(7,))
    stranger = os.stat(fake.top).st_uid + 1
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    swept.begin(waiting)
    assert (names(fake), fake.log) == (["other", "sentinel-run-a-1"], [])
    swept.close()


def test_what_is_no_leaf_is_never_touched(fake: Tree, swept: LeafSweep, waiting: Waiting) -> None:
    """Nor is what only sounds like one."""
    for name in ("sentinel-tests", "run-sentinel-run-1", "main"):
        fake.make(f"p/{name}", procs=(7,))
    swept.begin(waiting)
    assert fake.log == []
    swept.close()


def test_one_that_cannot_be_killed_does_not_keep_the_others(
    fake: Tree, cgroups: type[Cgroup], swept: LeafSweep, waiting: Waiting
) -> None:
    """The others go, and its lock is given back for the next start to try."""
    stubborn = dead(fake, "b-2", procs=(7,))
    for name in ("a-1", "c-3"):
        dead(fake, name)
    fake.refuse("write", "cgroup.kill", errno.EACCES, stubborn)
    swept.begin(waiting)
    assert names(fake) == ["other", "sentinel-run-b-2"]
    again = cgroups.open(str(stubborn))
    assert try_lock(again.fd)
    again.close()
    swept.close()


def test_one_that_somebody_else_sweeps_meanwhile_is_gone(
    fake: Tree, swept: LeafSweep, waiting: Waiting
) -> None:
    """Another start got there first, at whatever moment."""
    leaf = dead(fake, "a-1", procs=(7,))
    swept.begin(waiting)
    populate(fake, leaf, populated=False)
    fake.removed(str(leaf), None)
    assert swept.turn()
    swept.close()


def test_a_new_leaf_of_the_same_name_is_left_alone(
    fake: Tree, swept: LeafSweep, waiting: Waiting
) -> None:
    """Names repeat across pid namespaces: the one that was condemned is meant, not its heir."""
    leaf = dead(fake, "a-1", procs=(7,))
    swept.begin(waiting)
    populate(fake, leaf, populated=False)
    fake.removed(str(leaf), None)
    fake.make("p/sentinel-run-a-1")
    assert swept.turn()
    assert names(fake) == ["other", "sentinel-run-a-1"]
    swept.close()


def test_one_that_does_not_let_itself_be_removed_is_tried_again(
    fake: Tree, swept: LeafSweep, waiting: Waiting
) -> None:
    """EBUSY now may be none a moment later."""
    leaf = dead(fake, "a-1")
    fake.refuse("rmdir", leaf.name, errno.EBUSY)
    swept.begin(waiting)
    assert not swept.turn()
    fake.refusals.clear()
    assert swept.turn()
    assert names(fake) == ["other"]
    swept.close()


def test_one_that_cannot_be_looked_into_is_given_up(
    fake: Tree, swept: LeafSweep, waiting: Waiting
) -> None:
    """The run that sweeps must not suffer from it."""
    leaf = dead(fake, "a-1", procs=(7,))
    swept.begin(waiting)
    fake.refuse("read", "cgroup.events", errno.EACCES, leaf)
    assert swept.turn()
    assert waiting.watched == {}
    swept.close()


def test_leaves_that_cannot_be_listed_are_an_error(waiting: Waiting) -> None:
    """The supervisor drops such a sweep."""
    place = Cgroup(os.open("/dev/null", os.O_RDONLY), "/p")
    unlisted = LeafSweep(place)
    place.close()
    with pytest.raises(KernelFileError, match=r"^cannot list /p: Not a directory$"):
        unlisted.begin(waiting)
    unlisted.close()


def test_closing_gives_back_what_is_still_dying(
    fake: Tree, cgroups: type[Cgroup], swept: LeafSweep, waiting: Waiting
) -> None:
    """Its lock, too: the next start's sweep finishes it."""
    leaf = dead(fake, "a-1", procs=(7,))
    swept.begin(waiting)
    swept.close()
    assert waiting.watched == {}
    again = cgroups.open(str(leaf))
    assert try_lock(again.fd)
    again.close()

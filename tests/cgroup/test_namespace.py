"""Ladder step 2 on a fake tree: what counts as the root of a namespace, and who is moved."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sentinel.cgroup import namespace
from sentinel.cgroup.namespace import namespace_root
from sentinel.cgroup.placement import Host, Refusal, own_subtree
from tests.cgroup.faketree import Tree

ME = os.getpid()
MEMORY = frozenset({"memory"})
ENGINE = (
    "in a container: docker run --privileged, or podman run --security-opt unmask=/sys/fs/cgroup"
)


@pytest.fixture
def container(
    tmp_path: Path,
    fake: Tree,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A cgroup of the fake that is mounted as the whole tree; nothing may leak."""
    monkeypatch.setattr(namespace, "Cgroup", request.getfixturevalue("cgroups"))
    request.getfixturevalue("no_leaks")
    root = fake.make("box", procs=(ME, 7))
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path) == str(root))
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "run").mkdir()
    return root


def host(tmp_path: Path, root: Path, path: str) -> Host:
    """The view from `path` in the container whose tree is mounted at `root`."""
    proc = tmp_path / "proc"
    (proc / "self" / "cgroup").write_text(f"0::{path}\n")
    mount = f"30 22 0:26 / {root} rw - cgroup2 cgroup2 rw\n"
    (proc / "self" / "mountinfo").write_text(mount)
    return Host(proc=str(proc), run=str(tmp_path / "run"))


def placed(view: Host) -> str | Refusal:
    """Where the step puts a leaf, or its refusal."""
    found = namespace_root(view, MEMORY)
    if isinstance(found, Refusal):
        return found
    found.close()
    return found.path


def test_everybody_moves_into_init(tmp_path: Path, fake: Tree, container: Path) -> None:
    """Not ourselves alone: a stranger in the root would keep the controllers from it."""
    assert placed(host(tmp_path, container, "/")) == str(container)
    assert fake.pids(container) == []
    assert sorted(fake.pids(container / "init")) == sorted([7, ME])
    assert fake.get(container, "cgroup.subtree_control") == "memory"


@pytest.mark.parametrize("name", ["init", "crun-exec"])
def test_what_stands_in_for_the_root(
    name: str, tmp_path: Path, fake: Tree, container: Path
) -> None:
    """From where the processes of a container are, the place is beside them."""
    fake.put(container, "cgroup.procs", "")
    fake.make(f"box/{name}", procs=(ME,))
    assert placed(host(tmp_path, container, f"/{name}")) == str(container)
    assert fake.pids(container / name) == [ME]


def test_the_first_step_leaves_the_root_to_this_one(
    tmp_path: Path, fake: Tree, container: Path
) -> None:
    """It does not apply there, and moves nobody."""
    refused = own_subtree(host(tmp_path, container, "/"), MEMORY)
    assert refused == Refusal(
        "own subtree",
        f"{container} is the root of a cgroup namespace",
        "see the next step",
        applies=False,
    )
    assert fake.pids(container) == [ME, 7]


def test_a_cgroup_below_the_root_is_none(tmp_path: Path, fake: Tree, container: Path) -> None:
    """Only the root itself, and what stands in for it."""
    own = fake.make("box/other", procs=(ME,))
    assert placed(host(tmp_path, container, "/other")) == Refusal(
        "namespace root",
        f"{own} is not the root of a cgroup namespace",
        ENGINE,
        applies=False,
    )


def test_a_systemd_inside_keeps_its_root(tmp_path: Path, container: Path) -> None:
    """It is asked by the next step."""
    (tmp_path / "run" / "systemd" / "system").mkdir(parents=True)
    found = placed(host(tmp_path, container, "/"))
    assert isinstance(found, Refusal)
    assert (found.reason, found.applies) == (f"{container} belongs to the systemd inside", False)


def test_somebody_from_outside_the_pid_namespace(
    tmp_path: Path, fake: Tree, container: Path
) -> None:
    """Who has no number here cannot be moved, and 0 would move ourselves."""
    fake.put(container, "cgroup.procs", f"0\n{ME}\n")
    found = placed(host(tmp_path, container, "/"))
    assert isinstance(found, Refusal)
    assert found.reason == (
        f"{container} holds a process from outside this pid namespace, which cannot be moved"
    )
    assert fake.pids(container) == [0, ME]


@pytest.mark.parametrize(
    ("error", "uid", "remedy"),
    [
        (errno.EROFS, 0, "mount the cgroup file system writable (docker run --privileged)"),
        (errno.EACCES, 1000, "run as root in the container"),
        (
            errno.EPERM,
            0,
            "docker run --privileged, or podman run --security-opt unmask=/sys/fs/cgroup",
        ),
    ],
)
def test_a_root_that_may_not_be_written(
    error: int, uid: int, remedy: str, container: Path, request: pytest.FixtureRequest
) -> None:
    """Read-only or somebody else's: the step's own refusal, with the remedy for the errno."""
    fake: Tree = request.getfixturevalue("fake")
    tmp_path: Path = request.getfixturevalue("tmp_path")
    request.getfixturevalue("monkeypatch").setattr(os, "geteuid", lambda: uid)
    fake.refuse("write", "cgroup.subtree_control", error)
    found = placed(host(tmp_path, container, "/"))
    assert isinstance(found, Refusal)
    assert found.step == "namespace root"
    assert found.reason.startswith(f"cannot write '+memory' to {container}/cgroup.subtree_control")
    assert (found.remedy, found.applies) == (remedy, True)


def test_an_ordinary_user_of_a_tree_that_root_could_not_write_to_either(
    container: Path, tmp_path: Path, fake: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To become root there would help nobody: both are told at once."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(namespace, "is_read_only", lambda path: path == str(container))
    fake.refuse("write", "cgroup.subtree_control", errno.EACCES)
    found = placed(host(tmp_path, container, "/"))
    assert isinstance(found, Refusal)
    assert found.remedy == (
        "run as root in the container, with a cgroup tree to write to (docker run --privileged, "
        "or podman run --security-opt unmask=/sys/fs/cgroup)"
    )


def test_without_cgroup_v2_this_step_has_nothing_to_add(tmp_path: Path) -> None:
    """The reason is the first step's, and so is the remedy that is told."""
    refused = namespace_root(Host(str(tmp_path), str(tmp_path)), frozenset({"memory"}))
    assert isinstance(refused, Refusal)
    assert (refused.step, refused.applies) == ("namespace root", False)
    assert refused.reason == "no cgroup v2 hierarchy is mounted"

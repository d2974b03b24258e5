"""The fake tree as fixtures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sentinel.cgroup.tree import Cgroup
from tests.cgroup.faketree import Tree, install


@pytest.fixture
def fake(tmp_path: Path) -> Tree:
    """An empty hierarchy whose root offers cpu, memory and pids."""
    top = tmp_path / "cgroup"
    top.mkdir()
    return Tree(top)


@pytest.fixture
def cgroups(fake: Tree, monkeypatch: pytest.MonkeyPatch) -> type[Cgroup]:
    """The class of this hierarchy's cgroups, which the room uses, too."""
    return install(fake, monkeypatch)


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Fail when the test leaves a descriptor open."""
    before = _open()
    yield
    assert _open() == before


def _open() -> set[str]:
    return {fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")}

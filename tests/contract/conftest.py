"""The enclosures, each where it can be had: cgroup in its kernel, all others here."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sentinel.enclosure import Enclosure
from tests.contract.kinds import ENCLOSURES
from tests.contract.stage import Stage

_PR_SET_CHILD_SUBREAPER = 36

Maker = Callable[[], Enclosure]


@pytest.fixture(params=ENCLOSURES.values(), ids=lambda maker: maker.__name__)
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Maker:
    """Make an enclosure of one kind."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    maker: Maker = request.param
    return maker


@pytest.fixture
def stage(make: Maker, tmp_path: Path) -> Iterator[Stage]:
    """A run in such an enclosure; at the end nobody is left."""
    # Where orphans go to somebody else, their zombies are somebody else's, too.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    folder = tmp_path / "run"
    folder.mkdir()
    made = Stage(make(), folder)
    try:
        yield made
    finally:
        made.end()
        made.reap()
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.fixture
def descriptors() -> Callable[[], set[int]]:
    """What this process has open."""

    def listed() -> set[int]:
        found = map(int, os.listdir("/proc/self/fd"))
        return {fd for fd in found if os.path.lexists(f"/proc/self/fd/{fd}")}

    return listed

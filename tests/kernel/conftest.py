"""Fixtures of the kernel tests: a cgroup to work below, a fresh leaf, a disk."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.cgroupfs import enable, remove
from tests.lab import capability


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Import no kernel test where there is no kernel for it, unless only asked what there is."""
    return None if capability.native() or config.option.collectonly else True


@pytest.fixture(scope="session")
def cgroup_base() -> Iterator[str]:
    """Give a cgroup of this session whose children have memory, pids and cpu enabled."""
    top = capability.base_cgroup()
    enable(top)
    base = os.path.join(top, f"sentinel-tests-{os.getpid()}")
    os.mkdir(base)
    enable(base)
    yield base
    remove(base)


@pytest.fixture
def leaf(cgroup_base: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Give a fresh, empty cgroup; whatever a test leaves in it is killed and removed."""
    path = os.path.join(cgroup_base, f"leaf-{abs(hash(request.node.nodeid)):x}")
    os.mkdir(path)
    yield path
    remove(path)


@pytest.fixture
def scratch(tmp_path: Path) -> str:
    """Give an empty directory on a real disk: the lab's scratch disk, else pytest's own."""
    disk = os.environ.get("SENTINEL_SCRATCH")
    if disk is None:
        return str(tmp_path)
    path = os.path.join(disk, tmp_path.name)
    os.mkdir(path)
    return path

"""Fixtures of the kernel tests: a cgroup to work below, a fresh leaf, a disk."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from tests.kernel.cgroupfs import enable, remove
from tests.lab import capability

LIMIT_SECONDS = 300
"""What a kernel test may take; one that needs more says so with the marker limit(seconds)."""


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Import no kernel test where there is no kernel for it, unless only asked what there is."""
    return None if capability.native() or config.option.collectonly else True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test that hangs, and go on with the next: a boot is shared by all of them."""
    marker = item.get_closest_marker("limit")
    seconds = float(marker.args[0]) if marker else LIMIT_SECONDS

    def late(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"still running after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


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

"""Which tests run where.

pure     touches no other process: `make check`, a minute
native   starts real processes on this machine: `make native`
kernel   needs a real cgroup v2 kernel: `make kernel`, which boots one where this machine has none
systemd  needs the lab's guest where systemd is PID 1: `make kernel` boots it

A test is of the kind of its directory, unless it is marked with a kind of its own. A kernel
test that does not fit the running kernel is deselected, never skipped, so that a skip can
count as a failure where the kernel is required.
"""

import os

import pytest

from tests.lab import capability

DIRECTORIES = {
    "cli": "native",
    "containers": "native",
    "contract": "native",
    "kernel": "kernel",
    "linux": "native",
    "observability": "native",
    "rss": "native",
    "systemd": "systemd",
}
KINDS = ("kernel", "native", "pure", "systemd")


def pytest_configure(config: pytest.Config) -> None:
    """Give property tests no deadline: how long an example takes is the machine's business."""
    if config.pluginmanager.hasplugin("hypothesispytest"):
        from hypothesis import settings

        settings.register_profile("sentinel", deadline=None)
        settings.load_profile("sentinel")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark every test with its kind; deselect kernel tests that this kernel is not for."""
    here = os.path.dirname(__file__)
    for item in items:
        if not any(item.get_closest_marker(kind) for kind in KINDS):
            top = os.path.relpath(item.path, here).split(os.sep)[0]
            item.add_marker(DIRECTORIES.get(top, "pure"))
    if config.option.collectonly:
        return
    unfit = [item for item in items if not _fits(item)]
    if unfit:
        config.hook.pytest_deselected(items=unfit)
        items[:] = [item for item in items if item not in unfit]


def _fits(item: pytest.Item) -> bool:
    """Tell whether a test can run on the running kernel."""
    if item.get_closest_marker("systemd"):
        return capability.systemd_guest()
    if not item.get_closest_marker("kernel"):
        return True
    if not capability.native():
        return False
    if item.get_closest_marker("lab") and not capability.lab_kernel():
        return False
    wanted = item.get_closest_marker("kernels")
    return not wanted or capability.is_release(os.uname().release, wanted.args)

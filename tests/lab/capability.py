"""What the running kernel lets the kernel tests do."""

import functools
import os
import re
from collections.abc import Iterable

CGROUP_ROOT = "/sys/fs/cgroup"


def lab_kernel() -> str | None:
    """Return the name of the lab's kernel that this process runs in, None outside the lab."""
    return os.environ.get("SENTINEL_KERNEL")


def systemd_guest() -> bool:
    """Tell whether this process runs in the lab's guest where systemd is PID 1."""
    return os.environ.get("SENTINEL_INIT") == "systemd"


def required() -> bool:
    """Tell whether a kernel test that cannot run is a failure: in CI, or when asked for."""
    return os.environ.get("CI") == "true" or os.environ.get("SENTINEL_REQUIRE") == "cgroup"


@functools.cache
def native() -> bool:
    """Tell whether leaves can be made here: cgroup v2 with memory, and root or delegation."""
    base = base_cgroup()
    try:
        with open(f"{base}/cgroup.controllers", encoding="ascii") as file:
            controllers = file.read().split()
    except OSError:
        return False
    needed = (base, f"{base}/cgroup.procs", f"{base}/cgroup.subtree_control")
    return "memory" in controllers and all(os.access(path, os.W_OK) for path in needed)


def base_cgroup() -> str:
    """Return the directory below which tests may make cgroups: root's own, or the caller's."""
    if os.geteuid() == 0:
        return CGROUP_ROOT
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            if line.startswith("0::"):
                return CGROUP_ROOT + line[3:].rstrip("\n").rstrip("/")
    return CGROUP_ROOT


def is_release(release: str, wanted: Iterable[str]) -> bool:
    """Tell whether `release` (uname -r) is one of `wanted`; "6.1" is 6.1.176, not 6.12.1."""
    numbers = plain(release).split(".")
    return any(numbers[: len(parts)] == parts for parts in (name.split(".") for name in wanted))


def plain(release: str) -> str:
    """Return the leading numbers of a kernel release: 6.12.117 of 6.12.117+deb12-cloud."""
    found = re.match(r"[0-9.]*[0-9]", release)
    return found[0] if found else release

"""A run's own cgroup: made, locked, limited, and at the end counted and removed."""

from __future__ import annotations

import errno
import os

from sentinel.cgroup import files
from sentinel.cgroup.tree import Cgroup
from sentinel.linux.locks import try_lock
from sentinel.model.errors import KernelFileError
from sentinel.model.spec import Limits

LEAF_PREFIX = "sentinel-run-"
_NAME_BYTES = 100
_ATTEMPTS = 1000


class Leaf:
    """An open, locked leaf and the cgroup that it was made in."""

    def __init__(self, parent: Cgroup, cgroup: Cgroup, name: str) -> None:
        """Own `cgroup` (whose lock is held) and the right to remove it from `parent`."""
        self.parent = parent
        self.cgroup = cgroup
        self.name = name

    def limit(self, limits: Limits) -> tuple[str, ...]:
        """Write the limits; names of the options that this kernel cannot enforce here.

        The wire comes last. Raises KernelFileError when memory cannot be limited.
        """
        missing = []
        cgroup = self.cgroup
        if not cgroup.has(files.CGROUP_KILL):
            path = f"{cgroup.path}/{files.CGROUP_KILL}"
            raise KernelFileError("open", path, errno.ENOENT, remedy="use Linux 5.14 or newer")
        # Without it an OOM would pick single processes and leave a crippled run behind.
        cgroup.write(files.MEMORY_OOM_GROUP, "1")
        if cgroup.has(files.MEMORY_SWAP_MAX):
            cgroup.write(files.MEMORY_SWAP_MAX, str(limits.swap))
        else:
            missing.append("swap")
        if limits.pids is not None and not self._write_if_there(files.PIDS_MAX, str(limits.pids)):
            missing.append("pids")
        if limits.cpus is not None and not self._write_if_there(
            files.CPU_MAX, files.format_cpu_max(limits.cpus)
        ):
            missing.append("cpus")
        cgroup.write(files.MEMORY_MAX, files.format_limit(limits.hard))
        cgroup.write(files.MEMORY_HIGH, str(limits.soft))
        return tuple(missing)

    def _write_if_there(self, name: str, value: str) -> bool:
        if not self.cgroup.has(name):
            return False
        self.cgroup.write(name, value)
        return True

    def remove(self) -> str:
        """Remove the leaf with the cgroups that the command made in it; what stood in the way."""
        return self.parent.remove_child(self.name)

    def close(self) -> None:
        """Give up the lock and the descriptors."""
        self.cgroup.close()
        self.parent.close()


def make_leaf(parent: Cgroup, run_name: str) -> Leaf:
    """Make a leaf for `run_name` under `parent` and take its lock.

    Another start's sweep may see the leaf before its lock: then it is gone again, and the
    next name is tried. Raises KernelFileError.
    """
    stem = LEAF_PREFIX + _clean(run_name) + f"-{os.getpid()}"
    for attempt in range(_ATTEMPTS):
        name = stem if attempt == 0 else f"{stem}.{attempt}"
        cgroup = parent.make_child(name)
        if cgroup is None:
            continue
        if try_lock(cgroup.fd) and is_current(parent, name, cgroup):
            return Leaf(parent, cgroup, name)
        cgroup.close()
    raise KernelFileError(
        "mkdir", f"{parent.path}/{stem}", errno.EEXIST, remedy="remove dead leaves there"
    )


def is_current(parent: Cgroup, name: str, cgroup: Cgroup) -> bool:
    """Whether the name `name` in `parent` still means `cgroup`, and not a later one."""
    try:
        there = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return there.st_ino == os.fstat(cgroup.fd).st_ino


def _clean(run_name: str) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_+") else "_" for c in run_name)
    return kept[:_NAME_BYTES]

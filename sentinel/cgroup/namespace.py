"""Ladder step 2, the root of a cgroup namespace: the inside of a container with a writable tree.

The no-internal-process rule (cgroup-v2.rst) wants every process out of a cgroup before it hands
out controllers, and a container's processes all begin in its root. So they move into a child,
`init`, the name that others who nest containers use; the next Sentinel finds itself in there and
makes its leaf beside it. From then on nothing can be put into the root itself (EBUSY): runc puts
what `docker exec` starts where the container's first process is, crun makes a child `crun-exec`
for it, and from both of them a run finds its place here, too.

Two Sentinels that start at once move the same processes to the same place; neither forks its
command before the root hands out controllers, so nobody can be moved out of a leaf.
"""

from __future__ import annotations

import errno
import os

from sentinel.cgroup.placement import (
    PLACES_IN_ROOT,
    Host,
    Refusal,
    enable,
    is_namespace_root,
    own_cgroup,
    remedy_for,
)
from sentinel.cgroup.tree import Cgroup, is_read_only
from sentinel.model.errors import KernelFileError

STEP = "namespace root"
MAIN_IN_ROOT = PLACES_IN_ROOT[0]
_WRITABLE = "docker run --privileged, or podman run --security-opt unmask=/sys/fs/cgroup"


def namespace_root(host: Host, controllers: frozenset[str]) -> Cgroup | Refusal:
    """Ladder step 2. Returns the namespace's root, `controllers` enabled below it."""
    directory = own_cgroup(host)
    if isinstance(directory, Refusal):
        return directory._replace(step=STEP, applies=False)
    root = _root_of(directory)
    if root is None:
        return Refusal(
            STEP,
            f"{directory} is not the root of a cgroup namespace",
            f"in a container: {_WRITABLE}",
            applies=False,
        )
    if host.has_systemd():
        reason = f"{root} belongs to the systemd inside"
        return Refusal(STEP, reason, "see the next step", applies=False)
    try:
        return _in(root, controllers, host)
    except KernelFileError as error:
        return Refusal(STEP, error.message, _remedy(error, root))


def _remedy(error: KernelFileError, root: str) -> str:
    """There is no systemd to ask in a container."""
    if error.errno not in (errno.EACCES, errno.EPERM):
        return remedy_for(error)
    if os.geteuid() == 0:
        return _WRITABLE
    # The mode of a file is looked at before its mount is.
    more = f", with a cgroup tree to write to ({_WRITABLE})" if is_read_only(root) else ""
    return f"run as root in the container{more}"


def _root_of(directory: str) -> str | None:
    """The namespace's root, if `directory` is it or a child that stands in for it."""
    if is_namespace_root(directory):
        return directory
    outer, name = os.path.split(directory)
    return outer if name in PLACES_IN_ROOT and is_namespace_root(outer) else None


def _in(root: str, controllers: frozenset[str], host: Host) -> Cgroup | Refusal:
    parent = Cgroup.open(root)
    try:
        # As 0 shows who came from outside this pid namespace, where no number of ours reaches.
        outsiders = 0 in parent.pids()
    except KernelFileError:
        parent.close()
        raise
    if outsiders:
        parent.close()
        return Refusal(
            STEP,
            f"{root} holds a process from outside this pid namespace, which cannot be moved",
            "end it, or start the container with a pid namespace that holds all of it",
        )
    place = enable(parent, controllers, MAIN_IN_ROOT, host)
    return place._replace(step=STEP) if isinstance(place, Refusal) else place

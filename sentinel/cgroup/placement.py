"""Ladder step 1, the own subtree, and what all steps share: each finds a place, or says why not.

The own subtree is root's without systemd, a delegated cgroup, or the inside of another run's
leaf. A run never leaves the cgroup subtree of its caller. Every launch loads this module: two
would cost it one more file.
"""

import errno
import os
from collections.abc import Callable
from typing import NamedTuple

from sentinel.cgroup import files
from sentinel.cgroup.leaf import LEAF_PREFIX
from sentinel.cgroup.tree import Cgroup
from sentinel.model.errors import KernelFileError

MAIN_IN_LEAF = "main"
MAIN_IN_DELEGATED = "sentinel-main"
SUPERVISOR = "supervisor"
PLACES_IN_ROOT = ("init", "crun-exec")
"""Where the processes of a container are once its root hands out controllers: its own, and those
that crun adds later (`podman exec`)."""
WRITABLE_UNIT = "for a service, ProtectControlGroups=no in its unit"
_OWN_VIEW = (
    "start the container with --cgroupns=host, or without the host's /sys/fs/cgroup in it, which "
    "rootless podman brings in with --network host"
)
_MOVES = 100
"""Rounds of moving processes before a forking neighbour wins (EBUSY)."""


class Refusal(NamedTuple):
    """Why a step of the ladder found no place, and what would change that.

    `applies`: the step is meant for surroundings like these, so that its remedy is worth telling.
    """

    step: str
    reason: str
    remedy: str
    applies: bool = True


class Host(NamedTuple):
    """What the ladder looks at, injectable for tests: directories."""

    proc: str = "/proc"
    run: str = "/run"
    linger: str = "/var/lib/systemd/linger"

    def read(self, name: str) -> str:
        """A file below `proc`; empty when unreadable."""
        try:
            with open(f"{self.proc}/{name}", encoding="utf-8", errors="surrogateescape") as file:
                return file.read()
        except OSError:
            return ""

    def has_systemd(self) -> bool:
        """Whether systemd is PID 1 (sd_booted(3))."""
        return os.path.isdir(f"{self.run}/systemd/system")


Step = Callable[[Host, frozenset[str]], Cgroup | Refusal]


def own_cgroup(host: Host) -> str | Refusal:
    """Path of the directory of the cgroup that this process is in, or why there is none."""
    step = "own subtree"
    proc_cgroup = host.read("self/cgroup")
    path = files.parse_own_path(proc_cgroup)
    mounts = files.parse_mounts(host.read("self/mountinfo"))
    if path is None or not mounts:
        remedy = "boot with systemd.unified_cgroup_hierarchy=1 or mount cgroup2 on /sys/fs/cgroup"
        return Refusal(step, "no cgroup v2 hierarchy is mounted", remedy)
    if path == "/.." or path.startswith("/../"):
        reason = f"this process is in {path}, outside its cgroup namespace"
        return Refusal(step, reason, "start it inside the container's own cgroup namespace")
    for mount in mounts:
        inside = _below(mount.root, path)
        if inside is not None and os.path.isdir(mount.point + inside):
            return (mount.point + inside).rstrip("/") or "/"
    reason = f"own cgroup {path} is not below any cgroup2 mount"
    beyond = any(mount.root.startswith("/..") for mount in mounts)
    return Refusal(step, reason, _OWN_VIEW if beyond else "mount the whole hierarchy")


def _below(root: str, path: str) -> str | None:
    if root == "/":
        return path
    if path == root or path.startswith(root + "/"):
        return path[len(root) :]
    return None


def own_subtree(host: Host, controllers: frozenset[str]) -> Cgroup | Refusal:
    """Ladder step 1. Returns the cgroup to make a leaf in, `controllers` enabled below it."""
    directory = own_cgroup(host)
    if isinstance(directory, Refusal):
        return directory
    try:
        return _in_own_subtree(host, directory, controllers)
    except KernelFileError as error:
        return Refusal("own subtree", error.message, remedy_for(error, host))


def _in_own_subtree(host: Host, directory: str, controllers: frozenset[str]) -> Cgroup | Refusal:
    """Choose between beside-`main`, inside-a-leaf and a subtree of our own."""
    outer, name = os.path.split(directory)
    if _is_leaf(outer) and name == MAIN_IN_LEAF:
        return enable(Cgroup.open(outer), controllers, MAIN_IN_LEAF, host)
    if _is_leaf(directory):
        return enable(Cgroup.open(directory), controllers, MAIN_IN_LEAF, host)
    if name == MAIN_IN_DELEGATED:
        return enable(Cgroup.open(outer), controllers, MAIN_IN_DELEGATED, host)
    if is_namespace_root(directory) or (name in PLACES_IN_ROOT and is_namespace_root(outer)):
        return Refusal(
            "own subtree",
            f"{directory} is the root of a cgroup namespace",
            "see the next step",
            applies=False,
        )
    # Memory first: where v1 holds it, no delegation would help.
    refusal = _without_memory(host, directory) or _not_ours(host, directory)
    if refusal is not None:
        return refusal
    return enable(Cgroup.open(directory), controllers, MAIN_IN_DELEGATED, host)


def _is_leaf(directory: str) -> bool:
    return os.path.basename(directory).startswith(LEAF_PREFIX)


def is_namespace_root(directory: str) -> bool:
    """Whether `directory` is the root that a container sees: mounted, and not the real root."""
    return os.path.ismount(directory) and os.path.exists(f"{directory}/{files.CGROUP_TYPE}")


def _not_ours(host: Host, directory: str) -> Refusal | None:
    """Why leaves may not be made in `directory`; None when they may."""
    step = "own subtree"
    delegated = _marked_delegated(directory)
    uid = os.geteuid()
    if host.has_systemd() and uid == 0 and not delegated:
        return _systemds(directory, "systemd-run --scope")
    if not delegated and os.stat(directory).st_uid != uid:
        return Refusal(step, f"{directory} is not owned by uid {uid}", _one_of_ones_own(host))
    cgroup = Cgroup.open(directory)
    try:
        strangers = [pid for pid in cgroup.pids() if not _may_move(host, pid, uid)]
    finally:
        cgroup.close()
    is_root_cgroup = not os.path.exists(f"{directory}/{files.CGROUP_TYPE}")
    if strangers and not is_root_cgroup:
        reason = f"{directory} also holds processes that are not ours ({strangers[0]})"
        return Refusal(step, reason, "start sentinel in a cgroup of its own")
    # What a user's manager keeps is the user's own, too, and not all versions mark it.
    if host.has_systemd() and not delegated and f"/user@{uid}.service/" in directory:
        from sentinel.cgroup.unit import is_delegated

        if not is_delegated(host, directory):
            return _systemds(directory, "systemd-run --user --scope")
    return None


def _systemds(directory: str, run: str) -> Refusal:
    reason = f"{directory} belongs to systemd and was not delegated"
    return Refusal("own subtree", reason, f"{run} -p Delegate=yes sentinel exec ...")


def _marked_delegated(directory: str) -> bool:
    """Whether systemd marked the cgroup as delegated (extended attributes, since v251)."""
    for attribute in ("user.delegate", "trusted.delegate"):
        try:
            if os.getxattr(directory, attribute) == b"1":
                return True
        except OSError:
            continue
    return False


def _may_move(host: Host, pid: int, uid: int) -> bool:
    """Whether process `pid` may be moved one level down: ourselves, or ours without systemd."""
    if pid == os.getpid():
        return True
    if host.has_systemd():
        return False
    try:
        return os.stat(f"{host.proc}/{pid}").st_uid == uid
    except FileNotFoundError:
        return pid != 0


def enable(parent: Cgroup, controllers: frozenset[str], main: str, host: Host) -> Cgroup | Refusal:
    """Enable `controllers` below `parent`, moving its processes into the child `main` first.

    Owns `parent` and returns it, or closes it. Raises KernelFileError.
    """
    try:
        refusal = _unfit(parent, host)
        if refusal is None:
            _hand_out(parent, controllers & _available(parent), main)
            return parent
    except KernelFileError:
        parent.close()
        raise
    parent.close()
    return refusal


def _hand_out(parent: Cgroup, wanted: frozenset[str], main: str) -> None:
    for attempt in range(_MOVES):
        missing = wanted - set((parent.read(files.CGROUP_SUBTREE_CONTROL) or "").split())
        if not missing:
            return
        try:
            parent.write(
                files.CGROUP_SUBTREE_CONTROL, " ".join(f"+{name}" for name in sorted(missing))
            )
        except KernelFileError as error:
            # The no-internal-process rule; the root cgroup alone is exempt.
            if error.errno != errno.EBUSY or attempt == _MOVES - 1:
                raise
            _vacate(parent, main)


def _available(cgroup: Cgroup) -> set[str]:
    return set((cgroup.read(files.CGROUP_CONTROLLERS) or "").split())


def _without_memory(host: Host, directory: str) -> Refusal | None:
    cgroup = Cgroup.open(directory)
    try:
        return _unfit(cgroup, host)
    finally:
        cgroup.close()


def _unfit(parent: Cgroup, host: Host) -> Refusal | None:
    kind = (parent.read(files.CGROUP_TYPE) or "domain").strip()
    if kind.startswith("threaded") or kind == "domain invalid":
        return Refusal("own subtree", f"{parent.path} is {kind}", "start sentinel elsewhere")
    if "memory" in _available(parent):
        return None
    return held_by_v1(host) or Refusal(
        "own subtree",
        f"the memory controller is not delegated to {parent.path}",
        "enable it in the cgroup.subtree_control of each cgroup above",
    )


def held_by_v1(host: Host) -> Refusal | None:
    """Why no cgroup of v2 has memory here; None unless v1 holds it."""
    if "memory" not in files.controllers_of_v1(host.read("self/cgroup")):
        return None
    remedy = "boot with systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all"
    return Refusal("own subtree", "the memory controller is held by cgroup v1", remedy)


def _vacate(parent: Cgroup, main: str) -> None:
    """Move every process of `parent` into its child `main`."""
    child = parent.make_child(main) or parent.child(main)
    if child is None:
        return
    try:
        for pid in parent.pids():
            try:
                child.write(files.CGROUP_PROCS, str(pid))
            except KernelFileError as error:
                if error.errno != errno.ESRCH:
                    raise
    finally:
        child.close()


def _one_of_ones_own(host: Host) -> str:
    """How an ordinary user comes into a cgroup to divide."""
    if host.has_systemd():
        return "run as root, or systemd-run --user --scope -p Delegate=yes sentinel exec ..."
    return "run as root, or have root chown a cgroup to you and start it in there"


def remedy_for(error: KernelFileError, host: Host | None = None) -> str:
    """What may help against `error`, met on the way to a place."""
    host = host or Host()
    if error.errno == errno.EROFS and host.has_systemd():
        return WRITABLE_UNIT
    if error.errno == errno.EROFS:
        return "mount the cgroup file system writable (docker run --privileged)"
    if error.errno in (errno.EACCES, errno.EPERM):
        return _one_of_ones_own(host)
    if error.errno in (errno.EAGAIN, errno.ENOSPC):
        return (
            "there are too many cgroups: raise cgroup.max.descendants and cgroup.max.depth above it"
        )
    if error.errno == errno.EBUSY:
        return "stop what keeps starting processes in that cgroup"
    return "sentinel doctor tells more"

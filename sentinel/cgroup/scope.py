"""Ladder step 3, systemd: a transient scope of our own, delegated, for the length of a run.

`supervisor` in it holds Sentinel, beside the leaf. Nothing is ever made in a unit that was not
delegated to us. The scope is gone when it is empty: systemd collects it.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from sentinel.cgroup import files
from sentinel.cgroup.allowance import limits_above
from sentinel.cgroup.behalf import OnBehalf
from sentinel.cgroup.ladder import SYSTEMD as STEP
from sentinel.cgroup.leaf import LEAF_PREFIX
from sentinel.cgroup.manager import Bus, ManagerFault, start_scope
from sentinel.cgroup.placement import (
    SUPERVISOR,
    WRITABLE_UNIT,
    Host,
    Refusal,
    enable,
    held_by_v1,
    own_cgroup,
    remedy_for,
)
from sentinel.cgroup.sweep import LeafSweep
from sentinel.cgroup.tree import Cgroup, is_read_only
from sentinel.cgroup.unit import SYSTEM_BUS, bus_of_manager
from sentinel.enclosure import Waiter
from sentinel.model.errors import KernelFileError

SCOPE_PREFIX = "sentinel-"
SCOPE_SUFFIX = ".scope"

_PROPERTIES = {files.MEMORY_MAX: "MemoryMax", files.MEMORY_HIGH: "MemoryHigh"}
_SERVICE = "for a service, add Delegate=yes to its unit"


def systemd_scope(host: Host, controllers: frozenset[str]) -> Cgroup | Refusal:
    """Ladder step 3 under systemd. Returns our new scope, `controllers` enabled below it."""
    bus = _permitted(host) or _undelegated(host) or _bus(host)
    if isinstance(bus, Refusal):
        return bus
    directory = _moved(host, bus)
    if isinstance(directory, Refusal):
        return directory
    try:
        place = enable(Cgroup.open(directory), controllers, SUPERVISOR, host)
    except KernelFileError as error:
        return Refusal(STEP, error.message, remedy_for(error, host))
    return place._replace(step=STEP) if isinstance(place, Refusal) else place


def _permitted(host: Host) -> Refusal | None:
    """Why systemd must not be asked; None when it may be."""
    directory = own_cgroup(host)
    if isinstance(directory, Refusal):
        return directory._replace(step=STEP, applies=False)
    if any(name.startswith(LEAF_PREFIX) for name in directory.split("/")):
        reason = f"{directory} is inside another run, which a scope would leave"
        return Refusal(STEP, reason, "see the other steps", applies=False)
    by_v1 = held_by_v1(host)
    if by_v1 is not None:
        return by_v1._replace(step=STEP)
    if is_read_only(directory):
        # Where we could not divide a scope, either.
        return Refusal(STEP, f"{directory} is mounted read-only", WRITABLE_UNIT)
    return None


def _moved(host: Host, bus: Bus) -> str | Refusal:
    """Directory of the scope that systemd has put us into, now or for a run before this one."""
    here = own_cgroup(host)
    if isinstance(here, str) and os.path.basename(here) == SUPERVISOR:
        scope = os.path.dirname(here)
        if is_scope_name(os.path.basename(scope)):
            return scope
    unit = f"{SCOPE_PREFIX}{os.getpid()}-{os.urandom(4).hex()}{SCOPE_SUFFIX}"
    try:
        start_scope(bus, unit, _limits_here(host))
    except ManagerFault as fault:
        return _stopped(host) or Refusal(STEP, fault.message, fault.remedy)
    directory = own_cgroup(host)
    if isinstance(directory, Refusal):
        return directory._replace(step=STEP)
    if os.path.basename(directory) != unit:
        reason = f"systemd said that {unit} is ours, but this process is in {directory}"
        return Refusal(STEP, reason, "look whether something else moves processes here")
    return directory


def _limits_here(host: Host) -> dict[str, int]:
    """What holds us where we still are, for the scope: nobody gets out of a limit by a run."""
    return {_PROPERTIES[name]: found.size for name, found in limits_above(host).items()}


def _bus(host: Host) -> Bus | Refusal:
    """The bus of the manager that may give us a scope: the user's own, or root's the system's."""
    uid = os.geteuid()
    if uid == 0:
        path = f"{host.run}/{SYSTEM_BUS}"
        if _is_socket(path):
            return bus_of_manager(host, user=False)
        return Refusal(
            STEP, f"there is no system bus at {path}", "install dbus: systemctl start dbus.socket"
        )
    runtime = f"{host.run}/user/{uid}"
    path = f"{runtime}/bus"
    if _is_socket(path, uid):
        return bus_of_manager(host, user=True)
    named = _named_in_environment(f"{host.run}/user/")
    if named:
        return Bus(named, "the user's systemd")
    if not os.path.isdir(runtime):
        return _lingering(host) or Refusal(
            STEP,
            f"uid {uid} has no session and does not linger, so it has no systemd of its own",
            f"run once, as root: loginctl enable-linger {uid}; {_SERVICE}",
        )
    return _stopped(host) or Refusal(
        STEP,
        f"there is no session bus at {path}",
        "install dbus-user-session, or systemctl --user start dbus.socket",
    )


def _stopped(host: Host) -> Refusal | None:
    """That the user's manager has ended in a session that goes on; None: it has not.

    Asked when its bus is not to be had: where the hierarchy is mounted in parts nobody can tell.
    """
    return None if os.geteuid() == 0 or _manager(host) is not None else _not_running()


def _lingering(host: Host) -> Refusal | None:
    """That the user has no runtime directory although they linger; None: they do not."""
    from pwd import getpwuid

    with suppress(KeyError):
        if os.path.exists(f"{host.linger}/{getpwuid(os.geteuid()).pw_name}"):
            return _not_running()
    return None


def _not_running() -> Refusal:
    uid = os.geteuid()
    reason = f"the systemd of uid {uid} is not running"
    return Refusal(STEP, reason, f"as root: systemctl start user@{uid}.service")


def _manager(host: Host) -> str | None:
    """Directory of the cgroup of the user's manager; None when there is none to be seen."""
    uid = os.geteuid()
    name = f"user.slice/user-{uid}.slice/user@{uid}.service"
    seen = (f"{mount.point}/{name}" for mount in files.parse_mounts(host.read("self/mountinfo")))
    return next(filter(os.path.isdir, seen), None)


def _is_socket(path: str, owner: int = 0) -> bool:
    """Whether `path` is a socket of root's or of `owner`."""
    try:
        status = os.stat(path)
    except OSError:
        return False
    return stat.S_ISSOCK(status.st_mode) and status.st_uid in (0, owner)


def _named_in_environment(runtimes: str) -> str:
    """The first address in DBUS_SESSION_BUS_ADDRESS that is a local socket's; empty: none.

    D-Bus Specification, Server Addresses; those that name a program to be started are not taken.
    Nor is one below `runtimes`: the user's own was looked for there, and su(1) keeps another's.
    """
    for address in os.environ.get("DBUS_SESSION_BUS_ADDRESS", "").split(";"):
        if address.startswith(f"unix:path={runtimes}"):
            continue
        if address.startswith(("unix:path=", "unix:abstract=")):
            return address
    return ""


def _undelegated(host: Host) -> Refusal | None:
    """Why a scope of the user's manager would have no memory controller; None: it has one.

    Asked before the scope is, so that nobody is moved for nothing.
    """
    uid, manager = os.geteuid(), _manager(host)
    if uid == 0 or manager is None:
        return None
    try:
        with open(f"{manager}/{files.CGROUP_CONTROLLERS}", encoding="ascii") as file:
            delegated = file.read().split()
    except OSError:
        return None
    if "memory" in delegated:
        return None
    return Refusal(
        STEP,
        f"the memory controller is not delegated to user@{uid}.service",
        "as root: systemctl edit user@.service, [Service] Delegate=cpu memory pids, "
        "then log in again",
    )


def is_scope_name(name: str) -> bool:
    """Whether a cgroup called `name` is the scope of a run."""
    return name.startswith(SCOPE_PREFIX) and name.endswith(SCOPE_SUFFIX)


class ScopeSweep:
    """Clears away the leaves of dead guards in the scopes beside our own.

    A scope whose last process is gone is removed by systemd.
    """

    def __init__(self, scope: Cgroup) -> None:
        """`scope` stays the caller's and may be closed before the sweep."""
        self._slice = os.path.dirname(scope.path)
        self._sweeps: list[LeafSweep] = []

    def begin(self, waiter: Waiter) -> None:
        """Look into every scope of ours; one that cannot be looked into is for the next start."""
        with suppress(KernelFileError):
            beside = Cgroup.open(self._slice)
            try:
                self._begin_all(beside, waiter)
            finally:
                beside.close()

    def _begin_all(self, beside: Cgroup, waiter: Waiter) -> None:
        for name in beside.child_names():
            scope = beside.child(name) if is_scope_name(name) else None
            if scope is None:
                continue
            try:
                sweep = LeafSweep(scope)
                self._sweeps.append(sweep)
                sweep.begin(OnBehalf(waiter, self))
            except KernelFileError:
                continue
            finally:
                scope.close()

    def turn(self) -> bool:
        """Remove what is empty by now; True when none is left."""
        unfinished = [sweep for sweep in self._sweeps if not sweep.turn()]
        return not unfinished

    def close(self) -> None:
        """Release what is still dying."""
        for sweep in self._sweeps:
            sweep.close()
        self._sweeps.clear()

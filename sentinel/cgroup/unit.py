"""The systemd unit that a cgroup belongs to: its name, its manager, and what that says of it."""

from __future__ import annotations

import os

from sentinel.cgroup.manager import Bus, ManagerFault, unit_property
from sentinel.cgroup.placement import Host

SYSTEM_BUS = "dbus/system_bus_socket"
_KINDS = (".service", ".scope")


def unit_of(directory: str) -> str | None:
    """The innermost service or scope in the path of a cgroup; None when there is none."""
    names = reversed(directory.split("/"))
    return next((name for name in names if name.endswith(_KINDS)), None)


def bus_of_manager(host: Host, *, user: bool) -> Bus:
    """Where the manager of this process's user listens, or the system's."""
    if user:
        return Bus(f"unix:path={host.run}/user/{os.geteuid()}/bus", "the user's systemd")
    return Bus(f"unix:path={host.run}/{SYSTEM_BUS}", "systemd")


def is_users(directory: str) -> bool:
    """Whether a cgroup is below the manager of this process's user."""
    return f"/user@{os.geteuid()}.service/" in directory


def ask_about(host: Host, directory: str, unit: str, name: str) -> str:
    """The property `name` of the `unit` of a cgroup, as its manager tells it.

    Raises ManagerFault.
    """
    return unit_property(bus_of_manager(host, user=is_users(directory)), unit, name)


def is_delegated(host: Host, directory: str) -> bool:
    """Whether a cgroup is that of a unit with Delegate=yes; no where nobody can tell."""
    unit = unit_of(directory)
    if unit is None or os.path.basename(directory) != unit:
        return False
    try:
        return ask_about(host, directory, unit, "Delegate") == "yes"
    except ManagerFault:
        return False

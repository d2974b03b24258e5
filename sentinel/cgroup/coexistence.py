"""Beside the others who end processes for their memory: systemd-oomd, and systemd's OOMPolicy.

systemd-oomd(8) ends a cgroup that has no children, or memory.oom.group set: a leaf and the
cgroup of its guard are two candidates. ManagedOOMPreference= speaks of a unit, which has children
here; what it comes to is a mark on a cgroup (systemd.resource-control(5)), and that can be made
on the guard's own. The leaf gets none: it may be taken. A mark counts where the cgroup that
systemd-oomd watches has the same owner, and against a lack of swap only root's.

OOMPolicy= (systemd.service(5)) is what a manager does with a whole unit when the OOM killer has
ended something in it. A unit that delegates has `continue`, unless somebody wrote otherwise.
"""

from __future__ import annotations

import os
from contextlib import suppress

from sentinel.cgroup.placement import (
    MAIN_IN_DELEGATED,
    SUPERVISOR,
    Host,
    Refusal,
    own_cgroup,
)
from sentinel.model.diagnosis import Check
from sentinel.model.units import format_size

OOMD_AVOID = "user.oomd_avoid"
"""Since systemd 250; older ones look for trusted.oomd_avoid, which a unit's user may not write."""

_SUBJECT = "OOMPolicy"


def spare_from_oomd(place: str) -> None:
    """Have systemd-oomd take the guards beside the leaves in the cgroup `place` after all others.

    Best effort: extended attributes of a user came to cgroupfs with Linux 5.7.
    """
    for name in (SUPERVISOR, MAIN_IN_DELEGATED):
        with suppress(OSError):
            os.setxattr(f"{place}/{name}", OOMD_AVOID, b"1")


def probe_memory() -> Check | None:
    """Whether swap spares this process; None where the kernel does not tell."""
    from sentinel.linux.mlock import held_in_memory

    held = held_in_memory()
    if held is None:
        return None
    of_all = f"of the {format_size(held.swappable)} that could be swapped out"
    if held.locked:
        detail = f"{format_size(held.locked)} {of_all} are locked"
        return Check("guard's memory", works=True, detail=detail)
    remedy = "raise ulimit -l, or LimitMEMLOCK= of the unit"
    return Check("guard's memory", False, f"nothing {of_all} may be locked", remedy)


def probe_oomd(host: Host | None = None) -> Check | None:
    """Whether the guard's own cgroup is spared; None where there is no systemd-oomd."""
    host = host or Host()
    directory = own_cgroup(host)
    if isinstance(directory, Refusal) or not os.path.isdir(f"{host.run}/systemd/oom"):
        return None
    with suppress(OSError):
        if os.getxattr(directory, OOMD_AVOID) == b"1":
            return Check("systemd-oomd", works=True, detail=_spared())
    detail = f"may end a guard as soon as its command: {directory} is not marked {OOMD_AVOID}"
    return Check("systemd-oomd", False, detail, "let runs have a cgroup of their own")


def _spared() -> str:
    """What the mark comes to; the guard's cgroup was made by this process's user."""
    uid = os.geteuid()
    if uid == 0:
        return "takes a guard after everything else"
    return f"takes a guard last when the systemd of uid {uid} is under pressure, elsewhere as any"


def probe_oom_policy(host: Host | None = None) -> Check | None:
    """What the manager does with the unit around us when an OOM ends a run; None: nobody's unit."""
    host = host or Host()
    directory = own_cgroup(host)
    if isinstance(directory, Refusal) or not host.has_systemd():
        return None
    from sentinel.cgroup.manager import ManagerFault
    from sentinel.cgroup.scope import is_scope_name
    from sentinel.cgroup.unit import ask_about, unit_of

    unit = unit_of(directory)
    if unit is None:
        return None
    if is_scope_name(unit):
        return Check(_SUBJECT, works=True, detail="continue: the scope is ours and delegated")
    try:
        policy = ask_about(host, directory, unit, "OOMPolicy")
    except ManagerFault as fault:
        return Check(_SUBJECT, works=True, detail=f"of {unit} is not known: {fault.message}")
    if policy in ("continue", ""):
        return Check(_SUBJECT, works=True, detail=f"{policy or 'none'}, of {unit}")
    detail = f"{policy}: an OOM at the hard limit ends all of {unit}, and the guard with it"
    return Check(_SUBJECT, False, detail, f"OOMPolicy=continue in {unit} (systemctl edit)")

"""Can a leaf be had here, and what would its kernel give it? For `sentinel doctor`."""

from __future__ import annotations

from sentinel.cgroup import files
from sentinel.cgroup.ladder import READ_ONLY, find_place, observed
from sentinel.cgroup.leaf import make_leaf
from sentinel.cgroup.placement import Refusal
from sentinel.model.diagnosis import Check
from sentinel.model.errors import KernelFileError
from sentinel.model.spec import Limits

_FEATURES = (
    (files.CGROUP_KILL, "kills a whole leaf at once", "Linux 5.14 or newer"),
    (files.MEMORY_PEAK, "remembers the peak", "Linux 5.19 or newer"),
    (
        files.MEMORY_SWAP_MAX,
        "keeps a leak out of swap",
        "a kernel with CONFIG_SWAP and swapaccount=1",
    ),
)


def probe() -> tuple[Check, ...]:
    """Make a leaf and look at what is in it; every refusal of the ladder is a check of its own."""
    place, refusals = find_place(frozenset({"memory"}))
    checks = [_passed_over(refusal, needed=place is None) for refusal in refusals]
    if place is None:
        return tuple(checks)
    try:
        leaf = make_leaf(place, "doctor")
    except KernelFileError as error:
        checks.append(Check("leaf", works=False, detail=error.message, remedy=error.remedy))
        place.close()
        return tuple(checks)
    try:
        checks.append(Check("leaf", works=True, detail=f"under {place.path}"))
        leaf.limit(Limits(soft=32 << 20, hard=64 << 20))
        for name, purpose, remedy in _FEATURES:
            there = leaf.cgroup.has(name)
            detail = purpose if there else f"missing: nothing {purpose}"
            checks.append(Check(name, works=there, detail=detail, remedy="" if there else remedy))
    except KernelFileError as error:
        checks.append(Check("limits", works=False, detail=error.message, remedy=error.remedy))
    finally:
        leaf.remove()
        leaf.close()
    return tuple(checks)


def probe_container() -> tuple[Check, ...]:
    """Whether a container's own cgroup can be watched as a whole; empty where we are in none."""
    container = observed(alone=True)
    if isinstance(container, Refusal):
        return ()
    container.close()
    return (Check(READ_ONLY, works=True, detail=f"{container.path} can be read"),)


def _passed_over(refusal: Refusal, *, needed: bool) -> Check:
    """A step of the ladder that found no place: a fault only where no other step did."""
    fault = needed and refusal.applies
    reason = refusal.reason if fault else f"passed over: {refusal.reason}"
    return Check(refusal.step, not fault, reason, refusal.remedy if fault else "")

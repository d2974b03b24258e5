"""Which backend a run gets. The only file that knows both."""

from typing import TYPE_CHECKING, NamedTuple

from sentinel.cgroup.allowance import Allowance, allowance
from sentinel.cgroup.ladder import (
    READ_ONLY,
    UNREADABLE,
    find_place,
    observed,
    sweep_beside,
)
from sentinel.cgroup.leaf import make_leaf
from sentinel.cgroup.placement import Refusal, remedy_for
from sentinel.cgroup.tree import Cgroup
from sentinel.enclosure import Enclosure, Sweep
from sentinel.model.errors import KernelFileError, SentinelError
from sentinel.model.spec import Limits, RunSpec
from sentinel.model.units import LARGEST_SIZE, format_size

if TYPE_CHECKING:
    from sentinel.model.diagnosis import Check

__all__ = ["Allowance", "Enclosed", "allowance", "diagnose", "enclose", "standing"]


class Enclosed(NamedTuple):
    """An enclosure ready to be entered, what to sweep beside it, and lines for the user."""

    enclosure: Enclosure
    sweeps: tuple[Sweep, ...]
    notices: tuple[str, ...]


def enclose(spec: RunSpec) -> Enclosed:
    """Make the enclosure for `spec`: a leaf where there is a place, else what can be had.

    Raises SentinelError when `--backend cgroup` or `cgroup-ro` finds no place.
    """
    refusals: tuple[Refusal, ...] = ()
    if spec.backend in ("auto", "cgroup"):
        place, refusals = find_place(_controllers(spec))
        if place is not None:
            try:
                return _in_leaf(place, spec)
            except KernelFileError as error:
                refusals = (
                    *refusals,
                    Refusal("leaf", error.message, error.remedy or remedy_for(error)),
                )
        if spec.backend == "cgroup":
            reason, remedy = _explain(refusals)
            raise SentinelError(f"no cgroup for --backend cgroup: {reason}", remedy)
    if spec.backend != "rss":
        container = observed(alone=spec.backend == "auto")
        if isinstance(container, Cgroup):
            try:
                return _observing(container, spec, refusals)
            except KernelFileError as error:
                container = Refusal(READ_ONLY, error.message, error.remedy or UNREADABLE)
        if spec.backend == "cgroup-ro":
            raise SentinelError(
                f"no cgroup for --backend cgroup-ro: {container.reason}", container.remedy
            )
        refusals = (*refusals, container)
    return _in_rss(spec, refusals)


def _controllers(spec: RunSpec) -> frozenset[str]:
    wanted = {"memory"}
    if spec.limits.pids is not None:
        wanted.add("pids")
    if spec.limits.cpus is not None:
        wanted.add("cpu")
    return frozenset(wanted)


def _in_leaf(place: Cgroup, spec: RunSpec) -> Enclosed:
    from sentinel.cgroup.enclosure import CgroupEnclosure

    leaf = make_leaf(place, spec.name)
    try:
        missing = leaf.limit(spec.limits)
        unenforced = tuple(name for name in missing if name in spec.explicit)
        enclosure = CgroupEnclosure(leaf, spec.limits, unenforced)
    except KernelFileError:
        leaf.remove()
        leaf.close()
        raise
    sweeps = (sweep_beside(place), *_records())
    return Enclosed(enclosure, sweeps, _warn(unenforced, "this kernel"))


def _records() -> tuple[Sweep, ...]:
    """What clears away dead runs of rss, where there is a record of any run of rss."""
    from sentinel.linux.runtime import holds_any
    from sentinel.rss import RECORD

    if not holds_any(RECORD):
        return ()
    from sentinel.rss.sweep import RecordSweep

    return (RecordSweep(),)


def _observing(container: Cgroup, spec: RunSpec, refusals: tuple[Refusal, ...]) -> Enclosed:
    """The observer of a container's own cgroup; the crew of rss, which nothing alarms, ends it."""
    from sentinel.cgroup.observer import Observer
    from sentinel.linux.clock import monotonic
    from sentinel.rss.enclosure import RssEnclosure
    from sentinel.rss.sweep import RecordSweep

    unenforced = tuple(name for name in ("swap", "pids", "cpus") if name in spec.explicit)
    crew = RssEnclosure(Limits(soft=LARGEST_SIZE, hard=None), unenforced, surveys=False)
    try:
        observer = Observer(crew, container, spec.limits, monotonic)
    except KernelFileError:
        container.close()
        raise
    notices = _warn(unenforced, "the cgroup-ro backend")
    if spec.backend == "auto":
        reason, remedy = _explain(refusals)
        notices = (f"observing by cgroup-ro: {reason}; for a leaf: {remedy}", *notices)
    return Enclosed(observer, (RecordSweep(),), notices)


def _in_rss(spec: RunSpec, refusals: tuple[Refusal, ...]) -> Enclosed:
    """The RSS poller, with the reason why, in one line, when it was not asked for by name."""
    from sentinel.rss.enclosure import RssEnclosure
    from sentinel.rss.sweep import RecordSweep

    unenforced = tuple(name for name in ("swap", "pids", "cpus") if name in spec.explicit)
    enclosure = RssEnclosure(spec.limits, unenforced)
    notices = _warn(unenforced, "the rss backend")
    if spec.backend != "rss":
        reason, remedy = _explain(refusals)
        notices = (f"watching by rss, the fallback: {reason}; for a cgroup: {remedy}", *notices)
    return Enclosed(enclosure, (RecordSweep(),), notices)


def _explain(refusals: tuple[Refusal, ...]) -> tuple[str, str]:
    """The reason and the remedy of the last step that suits this place: the nearest to a leaf."""
    suiting = [refusal for refusal in refusals if refusal.applies] or refusals[-1:]
    return (suiting[-1].reason, suiting[-1].remedy) if suiting else ("", "")


def _warn(unenforced: tuple[str, ...], who: str) -> tuple[str, ...]:
    if not unenforced:
        return ()
    return (f"{who} cannot enforce {', '.join('--' + name for name in unenforced)}",)


def diagnose() -> "dict[str, tuple[Check, ...]]":
    """What each backend finds on this machine, by backend name."""
    from sentinel.cgroup import probe as cgroup_probe
    from sentinel.model.diagnosis import Check
    from sentinel.rss import probe as rss_probe

    size, label = allowance()
    above = Check("limit above", works=True, detail=f"{format_size(size)}, {label}")
    found = {"cgroup": (above, *cgroup_probe.probe())}
    if container := cgroup_probe.probe_container():
        found["cgroup-ro"] = container
    return {**found, "rss": rss_probe.probe()}


def standing() -> "tuple[Check, ...]":
    """How the guard of a run stands where memory is short; asked by one that has guarded."""
    from sentinel.cgroup import coexistence

    checks = (
        coexistence.probe_memory(),
        coexistence.probe_oomd(),
        coexistence.probe_oom_policy(),
    )
    return tuple(check for check in checks if check is not None)

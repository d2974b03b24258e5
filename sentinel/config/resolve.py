"""Words -> RunSpec: defaults, percentages, and every refusal of a value."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from sentinel.config.naming import checked_name, default_name
from sentinel.config.observation import observation
from sentinel.config.sources import Words, read_word
from sentinel.model.errors import UsageFault
from sentinel.model.signals import SIGKILL, SIGSTOP, SIGTERM, parse_signal
from sentinel.model.spec import Ceiling, Command, Count, Limits, RunSpec, StopPlan
from sentinel.model.units import (
    MIB,
    SMALLEST_LIMIT,
    format_size,
    parse_decimal,
    parse_duration,
    parse_size,
)

DEFAULT_SHARE = 0.8
"""Of what this process may use: the soft limit when nobody names one."""

WALL_SHARE = 0.95
"""Of what this process may use: a wall above it would be the machine's OOM killer."""

LEAST_HEADROOM = 64 * MIB
"""Bytes. A 50 MB checkpoint at 200M survived with half as much again, and not with a quarter."""

DEFAULT_GRACE = 3.0
"""Seconds."""

MOST_PIDS = 1 << 22
"""PID_MAX_LIMIT; pids.max refuses more (kernel/cgroup/pids.c)."""

LEAST_CPUS = 0.01
"""A quota under 1 ms per 100 ms period is refused (kernel/sched/core.c)."""

MOST_CPUS = 10_000

BACKENDS = ("auto", "cgroup", "cgroup-ro", "rss")

COUNTS = ("workingset", "anon", "total")


class Available(NamedTuple):
    """Bytes that this process may use, and whose limit that is, for a sentence."""

    size: int
    label: str = "the machine's memory"


class Resolved(NamedTuple):
    """A run ready to start, and what the user should hear about it: one line each."""

    spec: RunSpec
    notices: tuple[str, ...]


def resolve(
    command: Command, words: Words, flags: frozenset[str], available: Available
) -> Resolved:
    """Make the RunSpec that `words` and `flags` ask for.

    Raises UsageFault for a value that means nothing or contradicts another.
    """
    limits = _limits(words, available.size)._replace(ceiling=Ceiling(*available))
    spec = RunSpec(
        name=read_word(words, "name", checked_name, "") or default_name(command.argv[0]),
        command=command,
        limits=limits,
        stop=_stop_plan(words, flags),
        backend=read_word(words, "backend", _one_of(BACKENDS), BACKENDS[0]),
        preserve_status="preserve-status" in flags,
        explicit=flags.union(words),
        observation=observation(words, flags),
    )
    return Resolved(spec, _notices(limits, spec.explicit, available))


def _limits(words: Words, whole: int) -> Limits:
    """`whole` is what percentages are of, and what the defaults leave room in: bytes."""
    limit = partial(_limit_size, whole=whole)
    soft = read_word(words, "limit", limit, max(int(whole * DEFAULT_SHARE), SMALLEST_LIMIT))
    return Limits(
        soft=soft,
        hard=_wall(words, soft, whole),
        swap=read_word(words, "swap", partial(_swap_size, whole=whole), 0),
        pids=read_word(words, "pids", _pids, None),
        cpus=read_word(words, "cpus", _cpus, None),
        counted=Count(read_word(words, "count", _one_of(COUNTS), COUNTS[0])),
    )


def _stop_plan(words: Words, flags: frozenset[str]) -> StopPlan:
    return StopPlan(
        signal=read_word(words, "signal", _polite_signal, SIGTERM),
        main_only="signal-main-only" in flags,
        grace=read_word(words, "grace", parse_duration, DEFAULT_GRACE),
        patience=read_word(words, "for", parse_duration, 0.0),
        timeout=read_word(words, "timeout", _timeout, None),
    )


def _limit_size(text: str, whole: int) -> int:
    size = parse_size(text, whole=whole)
    if size < SMALLEST_LIMIT:
        bare = parse_decimal(text.strip())
        remedy = f"did you mean {text.strip()}M?" if bare else "use 1M or more"
        raise UsageFault(f"{text!r} is {size} bytes, too small for any program", remedy)
    return size


def _swap_size(text: str, whole: int) -> int:
    return _limit_size(text, whole) if parse_size(text, whole=whole) else 0


def _wall(words: Words, soft: int, whole: int) -> int | None:
    word = words.get("hard-limit")
    if word is None:
        return _default_wall(soft, whole)
    if word.text.strip().lower() == "none":
        return None
    hard = read_word(words, "hard-limit", partial(_limit_size, whole=whole), 0)
    if hard <= soft:
        # Equal is no better: with memory.high = memory.max the high event never comes.
        raise UsageFault(
            f"{word.origin}: {word.text!r} ({hard} bytes) is not above the limit ({soft} bytes)",
            "give --hard-limit a larger size or none, to have it asked before it is killed",
        )
    return hard


def _default_wall(soft: int, whole: int) -> int:
    """Head-room for the grace, without walling off the machine's last memory if possible."""
    wall = soft + max(soft // 2, LEAST_HEADROOM)
    below_all = min(wall, int(whole * WALL_SHARE))
    return below_all if below_all > soft else wall


def _polite_signal(text: str) -> int:
    number = parse_signal(text)
    if number in (SIGKILL, SIGSTOP):
        raise UsageFault(
            f"{text!r} cannot be handled by any command", "to kill at once use --grace 0"
        )
    return number


def _timeout(text: str) -> float:
    seconds = parse_duration(text)
    if seconds == 0:
        raise UsageFault(
            f"{text!r} would end the command at once", "leave it out for no limit on the time"
        )
    return seconds


def _pids(text: str) -> int | None:
    digits = text.strip()
    if digits.isascii() and digits.isdigit() and len(digits) <= len(str(MOST_PIDS)):
        number = int(digits)
        if 1 <= number <= MOST_PIDS:
            return number
    raise UsageFault(f"{text!r} is no number of tasks", f"use a whole number from 1 to {MOST_PIDS}")


def _cpus(text: str) -> float | None:
    number = parse_decimal(text.strip())
    if number is None or not LEAST_CPUS <= number <= MOST_CPUS:
        raise UsageFault(
            f"{text!r} is no number of CPUs",
            f"use a number from {LEAST_CPUS} to {MOST_CPUS}, as in 1.5",
        )
    return number


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def choose(text: str) -> str:
        if text not in choices:
            listed = ", ".join(choices[:-1])
            raise UsageFault(f"{text!r} is unknown", f"use {listed} or {choices[-1]}")
        return text

    return choose


def _notices(limits: Limits, explicit: frozenset[str], available: Available) -> tuple[str, ...]:
    notices = []
    whole = format_size(available.size)
    if "limit" not in explicit:
        notices.append(f"limit {format_size(limits.soft)} ({DEFAULT_SHARE:.0%} of {whole})")
    over = ""
    if limits.soft > available.size:
        over = f"the limit {format_size(limits.soft)}"
    elif limits.hard is not None and limits.hard > available.size:
        over = f"the hard limit {format_size(limits.hard)}"
    if over:
        notices.append(
            f"{over} is above what this process may use ({whole}, {available.label}), "
            "which is reached first; lower it"
        )
    return tuple(notices)

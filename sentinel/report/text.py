"""An outcome in one line for people, and what was left behind in one more."""

from __future__ import annotations

from collections.abc import Callable

from sentinel.model.events import Happening
from sentinel.model.outcome import ABOVE_NAMESPACE, Exited, Outcome, Survivor, Verdict
from sentinel.model.signals import signal_name
from sentinel.model.spec import StopPlan
from sentinel.model.units import format_duration, format_size
from sentinel.report.memory import made_of, over_limit

MOST_NAMED = 10
"""Survivors named one by one."""


def outcome_lines(outcome: Outcome, stop: StopPlan) -> tuple[str, ...]:
    """What to tell about `outcome`; nothing for a plain end with nothing left behind.

    `stop` is the plan that the run was asked to end by.
    """
    sentence = _SENTENCES[outcome.verdict](outcome, stop)
    if outcome.verdict is Verdict.FAILED_TO_START:
        return (sentence,)
    lines = []
    if sentence:
        lines.append(f"{outcome.name}: {outcome.verdict.value}: {sentence}{_needed_kill(outcome)}")
    if outcome.ledger.left_behind:
        lines.append(f"{outcome.name}: left behind: {_named(outcome.ledger.left_behind)}")
    if outcome.ledger.unremoved:
        lines.append(f"{outcome.name}: not removed: {outcome.ledger.unremoved}")
    return tuple(lines)


def _exited(outcome: Outcome, stop: StopPlan) -> str:
    del stop
    return _ending(outcome) if outcome.survivors_killed else ""


def _signalled(outcome: Outcome, stop: StopPlan) -> str:
    del stop
    through = f", sent through Sentinel by {outcome.asked_by}" if outcome.asked_by else ""
    return f"{_ending(outcome)}{through}"


def _soft_limit(outcome: Outcome, stop: StopPlan) -> str:
    return f"{_over(outcome)}; {_end_in_grace(outcome, stop)}"


def _hard_limit(outcome: Outcome, stop: StopPlan) -> str:
    del stop
    limits = outcome.limits
    told = [
        moment.detail for moment in outcome.timeline if moment.what == Happening.HARD_CROSSED.value
    ]
    why = (told[-1] if told else "") or "it went over the hard limit"
    if limits.hard is None:
        return f"{why}{_composition(outcome)}"
    sentence = f"{why}, {format_size(limits.hard)}{_composition(outcome)}"
    if outcome.wall_in_grace:
        room = format_size(limits.hard - limits.soft)
        sentence += f"; the head-room of {room} ran out {_grace_used(outcome)}"
    return sentence


def _ancestor_limit(outcome: Outcome, stop: StopPlan) -> str:
    del stop
    above = outcome.ledger.oom_above
    where = ABOVE_NAMESPACE if above in (None, ABOVE_NAMESPACE) else f"of {above}"
    return f"the kernel's OOM killer ended it at a limit {where}{_used(outcome)}"


def _host_oom(outcome: Outcome, stop: StopPlan) -> str:
    del stop
    why = "the kernel's OOM killer ended it because the machine ran out of memory"
    return f"{why}{_used(outcome)}"


def _used(outcome: Outcome) -> str:
    """What it had at most, against the wall that it did not reach."""
    peak, hard = outcome.ledger.peak_current, outcome.limits.hard
    if peak is None:
        return ""
    wall = "no hard limit" if hard is None else f"a hard limit of {format_size(hard)}"
    return f"; it held at most {format_size(peak)}, under {wall}"


def _timeout(outcome: Outcome, stop: StopPlan) -> str:
    limit = "its time" if stop.timeout is None else format_duration(stop.timeout)
    return f"ran longer than {limit}; {_end_in_grace(outcome, stop)}"


def _stopped(outcome: Outcome, stop: StopPlan) -> str:
    return f"asked for{_by(outcome)}; {_end_in_grace(outcome, stop)}"


def _killed(outcome: Outcome, stop: StopPlan) -> str:
    if outcome.grace_used is None:
        return f"asked for{_by(outcome)}; {_ending(outcome)}"
    return _stopped(outcome, stop)


def _failed_to_start(outcome: Outcome, stop: StopPlan) -> str:
    del stop
    return outcome.failure


_SENTENCES: dict[Verdict, Callable[[Outcome, StopPlan], str]] = {
    Verdict.EXITED: _exited,
    Verdict.SIGNALLED: _signalled,
    Verdict.SOFT_LIMIT: _soft_limit,
    Verdict.SOFT_LIMIT_KILLED: _soft_limit,
    Verdict.HARD_LIMIT: _hard_limit,
    Verdict.ANCESTOR_LIMIT: _ancestor_limit,
    Verdict.HOST_OOM: _host_oom,
    Verdict.TIMEOUT: _timeout,
    Verdict.TIMEOUT_KILLED: _timeout,
    Verdict.STOPPED: _stopped,
    Verdict.KILLED: _killed,
    Verdict.FAILED_TO_START: _failed_to_start,
}

_MAIN_KILLED = frozenset({Verdict.SOFT_LIMIT_KILLED, Verdict.TIMEOUT_KILLED, Verdict.KILLED})


def _ending(outcome: Outcome) -> str:
    status = outcome.command_status
    if status is None:
        return "it did not end"
    if isinstance(status, Exited):
        return f"exited with status {status.code}"
    return f"ended by {signal_name(status.signal)}"


def _end_in_grace(outcome: Outcome, stop: StopPlan) -> str:
    """How it ended once it was asked, and how much of the grace that took."""
    if outcome.verdict not in _MAIN_KILLED:
        return f"{_ending(outcome)} {_grace_used(outcome)}"
    if outcome.command_status is None:
        return "still running, and it could not be killed"
    if outcome.asked_by:
        return f"killed{_by(outcome)} {_grace_used(outcome)}"
    if not stop.grace:
        return "killed at once: no grace was given"
    return f"still running {format_duration(stop.grace)} after {signal_name(stop.signal)}, killed"


def _grace_used(outcome: Outcome) -> str:
    used = "an unknown part" if outcome.grace_used is None else format_duration(outcome.grace_used)
    return f"({used} of the {format_duration(outcome.grace)} grace used)"


def _over(outcome: Outcome) -> str:
    if outcome.trigger is None:
        return f"over the {format_size(outcome.limits.soft)} limit"
    return over_limit(outcome.trigger, outcome.limits, "was") + _composition(outcome)


def _composition(outcome: Outcome) -> str:
    """What the memory was made of, unless an OOM kill had emptied it before the look."""
    reading = outcome.trigger
    if reading is None or reading.current <= outcome.limits.soft:
        return ""
    return made_of(reading.composition)


def _by(outcome: Outcome) -> str:
    return f" by {outcome.asked_by}" if outcome.asked_by else ""


def _needed_kill(outcome: Outcome) -> str:
    """How many processes did not end by themselves, once they were asked."""
    count = outcome.survivors_killed
    if not count:
        return ""
    return f"; {count} process{'' if count == 1 else 'es'} needed SIGKILL"


def _named(survivors: tuple[Survivor, ...]) -> str:
    named = [f"{one.pid} {one.name} (state {one.state})" for one in survivors[:MOST_NAMED]]
    if len(survivors) > MOST_NAMED:
        named.append(f"{len(survivors) - MOST_NAMED} more")
    return ", ".join(named)

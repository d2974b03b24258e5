"""Outcomes to report on: a leaker at 200M with a 300M wall, and what differs from it."""

from __future__ import annotations

from typing import Any

from sentinel.model.outcome import Exited, Ledger, Moment, Outcome, Signalled, Survivor, Verdict
from sentinel.model.snapshot import Composition, Reading
from sentinel.model.spec import Limits, StopPlan
from sentinel.model.units import KIB, MIB

STOP = StopPlan(timeout=10.0)
LIMITS = Limits(soft=200 * MIB, hard=300 * MIB)

TRIGGER = Reading(
    at=1234.5,
    current=203 * MIB,
    working_set=201 * MIB + 512 * KIB,
    anon=198 * MIB,
    composition=Composition(anon=198 * MIB, file=4 * MIB, shmem=0, kernel=MIB, sock=0, other=0),
    tasks=3,
)

EXITED = Exited(0)
TERMINATED = Signalled(15)
KILLED = Signalled(9)

SLEEPER = Survivor(12, "cat", "D")


def outcome(verdict: Verdict, **others: Any) -> Outcome:
    """The outcome of a leaker that exited with 0, but for `others`."""
    return Outcome(
        **{
            "name": "leaker",
            "backend": "cgroup",
            "verdict": verdict,
            "command_status": EXITED,
            "limits": LIMITS,
            "ledger": Ledger(),
            "grace": 3.0,
            **others,
        }
    )


def hard_crossed(detail: str) -> tuple[Moment, ...]:
    """A timeline with a crossing of the wall."""
    return (Moment(0.0, "started"), Moment(1.0, "hard crossed", detail), Moment(1.1, "over"))

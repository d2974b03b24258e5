"""From a guardian that is done to the outcome of its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sentinel.model.outcome import Ledger, Outcome, Verdict, exit_status

if TYPE_CHECKING:
    from sentinel.guard.guardian import Guardian


def conclude(guardian: Guardian, verdict: Verdict, ledger: Ledger, now: float) -> Outcome:
    """The outcome of the run that ends at `now` (monotonic seconds) with `verdict`."""
    spec, evidence, enclosure = guardian.spec, guardian.evidence, guardian.enclosure
    status = guardian.main_status
    return Outcome(
        name=spec.name,
        backend=enclosure.backend,
        verdict=verdict,
        command_status=status,
        limits=spec.limits,
        ledger=ledger,
        timeline=guardian.journal.timeline(),
        trigger=evidence.trigger,
        reaction=evidence.reaction(),
        grace=spec.stop.grace,
        grace_used=evidence.grace_used(now),
        wall_in_grace=guardian.escalation.wall_in_grace,
        asked_by=evidence.asked_by(status),
        survivors_killed=evidence.killed or 0,
        elapsed=now - guardian.journal.began,
        unenforced=enclosure.unenforced,
        exit_status=exit_status(verdict, status, preserve=spec.preserve_status),
        interrupted_by=evidence.interrupted_by(verdict, status),
    )

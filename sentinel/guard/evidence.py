"""What a run's outcome will quote: readings, times, and who sent what."""

from __future__ import annotations

from sentinel.linux.signals import Received
from sentinel.model.events import Event, Happening
from sentinel.model.outcome import CommandStatus, Reaction, Signalled, Verdict
from sentinel.model.snapshot import Reading
from sentinel.policy.escalation import STOPPING, State


class Evidence:
    """Filled while the run goes on, by the guardian alone."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.trigger: Reading | None = None
        self._crossing: Event | None = None
        self.asked_at: float | None = None
        self.killed_at: float | None = None
        self.killed: int | None = None
        self.forwarded: Received | None = None
        self.hurried_by = ""
        self.keys: set[int] = set()

    def see(self, before: State, event: Event) -> None:
        """Keep the reading that showed the crossing which is acted upon."""
        crossing = event.what in (Happening.SOFT_CROSSED, Happening.HARD_CROSSED)
        if crossing and before not in STOPPING and event.reading is not None:
            self.trigger = event.reading
            self._crossing = event

    def reaction(self) -> Reaction:
        """How long it took from the crossing to the polite signal."""
        if self._crossing is None or self.asked_at is None:
            return Reaction()
        since = (self._crossing.first_event, self._crossing.first_over)
        return Reaction(*(None if at is None else self.asked_at - at for at in since))

    def grace_used(self, now: float) -> float | None:
        """Seconds from the first polite signal to the kill, or to the end; None: nobody asked."""
        if self.asked_at is None:
            return None
        return (self.killed_at or now) - self.asked_at

    def asked_by(self, status: object) -> str:
        """Who sent the signal that ended the command, when it came through Sentinel."""
        sent = self.forwarded
        if sent is not None and isinstance(status, Signalled) and status.signal == sent.number:
            return f"pid {sent.pid}, uid {sent.uid}"
        return self.hurried_by

    def interrupted_by(self, verdict: Verdict, status: CommandStatus | None) -> int | None:
        """The signal of the key that ended the command; None when a stop of ours is the verdict."""
        if verdict is not Verdict.SIGNALLED or not isinstance(status, Signalled):
            return None
        return status.signal if status.signal in self.keys else None

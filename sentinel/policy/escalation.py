"""The stop, as a table: (state, happening) -> (next state, actions).

Laws of this room; tests/policy/ holds each as a property:
1. The wire is lifted before any polite signal of ours.
2. No polite signal after a kill.
3. No stopping state without a live timer.
4. DONE when the enclosure is empty, or when KILLING gave up.
5. The first cause is the verdict, but an OOM at the wall during the grace is `hard-limit`.
6. The table is total: a cell that changes nothing is written down as such.

Theory of operation. WATCHING is the quiet life. A crossing always passes through PRESSED,
whose patience timer (`--for`, 0 by default) elapses at once when there is none: that keeps
conditions out of the table. A stop of ours asks (TERMINATING), and whatever still lives when
the grace is over is killed (KILLING) again and again until the enclosure is empty or ten
seconds have shown that the kernel cannot. When the main process is gone and others are left,
they are asked within the same grace (LINGERING).

There is no transition outside the table: docs/escalation.md is drawn from it.
"""

from __future__ import annotations

from enum import Enum

from sentinel.model.actions import Action, Arm, Disarm, Do
from sentinel.model.events import Happening, Timer
from sentinel.model.outcome import CommandStatus, Exited, Signalled, Verdict
from sentinel.model.signals import SIGKILL


class State(Enum):
    """Where a run is in its life."""

    STARTING = "starting"
    WATCHING = "watching"
    PRESSED = "pressed"
    TERMINATING = "terminating"
    LINGERING = "lingering"
    KILLING = "killing"
    DONE = "done"


Row = tuple[State, tuple[Action, ...]]

_ASK = (Do.LIFT_WIRE, Do.ASK_TO_STOP, Arm(Timer.GRACE))
_KILL = (Do.KILL_ALL, Arm(Timer.RETRY), Arm(Timer.GIVE_UP))
_KILL_AGAIN = (Do.KILL_ALL, Arm(Timer.RETRY))
_DONE: Row = (State.DONE, (Do.FINISH,))

S, H = State, Happening

CHANGES: dict[State, dict[Happening, Row]] = {
    S.STARTING: {
        H.STARTED: (S.WATCHING, (Arm(Timer.TIMEOUT),)),
        H.HARD_CROSSED: (S.KILLING, _KILL),
        H.STOP_REQUESTED: (S.TERMINATING, _ASK),
        H.KILL_REQUESTED: (S.KILLING, _KILL),
        H.MAIN_EXITED: (S.LINGERING, _ASK),
        H.EMPTIED: _DONE,
    },
    S.WATCHING: {
        H.SOFT_CROSSED: (S.PRESSED, (Do.LIFT_WIRE, Arm(Timer.PATIENCE))),
        H.HARD_CROSSED: (S.KILLING, _KILL),
        H.STOP_REQUESTED: (S.TERMINATING, _ASK),
        H.KILL_REQUESTED: (S.KILLING, _KILL),
        H.TIMEOUT_ELAPSED: (S.TERMINATING, _ASK),
        H.MAIN_EXITED: (S.LINGERING, _ASK),
        H.EMPTIED: _DONE,
        # A blind guard must not leave a brake on: the wall stays.
        H.DEGRADED: (S.WATCHING, (Do.LIFT_WIRE,)),
    },
    S.PRESSED: {
        H.SOFT_CLEARED: (S.WATCHING, (Disarm(Timer.PATIENCE), Do.ARM_WIRE)),
        H.PATIENCE_ELAPSED: (S.TERMINATING, _ASK),
        H.HARD_CROSSED: (S.KILLING, _KILL),
        H.STOP_REQUESTED: (S.TERMINATING, _ASK),
        H.KILL_REQUESTED: (S.KILLING, _KILL),
        H.TIMEOUT_ELAPSED: (S.TERMINATING, _ASK),
        H.MAIN_EXITED: (S.LINGERING, _ASK),
        H.EMPTIED: _DONE,
    },
    S.TERMINATING: {
        H.HARD_CROSSED: (S.KILLING, _KILL),
        H.KILL_REQUESTED: (S.KILLING, _KILL),
        H.GRACE_ELAPSED: (S.KILLING, _KILL),
        # The one grace deadline is inherited. Only those not asked before are asked.
        H.MAIN_EXITED: (S.LINGERING, (Do.LIFT_WIRE, Do.ASK_TO_STOP)),
        H.EMPTIED: _DONE,
    },
    S.LINGERING: {
        H.HARD_CROSSED: (S.KILLING, _KILL),
        H.KILL_REQUESTED: (S.KILLING, _KILL),
        H.GRACE_ELAPSED: (S.KILLING, _KILL),
        H.EMPTIED: _DONE,
    },
    S.KILLING: {
        H.RETRY_ELAPSED: (S.KILLING, _KILL_AGAIN),
        H.GIVE_UP_ELAPSED: _DONE,
        H.EMPTIED: _DONE,
    },
    S.DONE: {},
}

IGNORED: dict[State, frozenset[Happening]] = {
    S.STARTING: frozenset(
        {H.SOFT_CROSSED, H.SOFT_CLEARED, H.DEGRADED, H.TIMEOUT_ELAPSED, H.PATIENCE_ELAPSED}
        | {H.GRACE_ELAPSED, H.RETRY_ELAPSED, H.GIVE_UP_ELAPSED}
    ),
    S.WATCHING: frozenset(
        {H.STARTED, H.SOFT_CLEARED, H.PATIENCE_ELAPSED}
        | {H.GRACE_ELAPSED, H.RETRY_ELAPSED, H.GIVE_UP_ELAPSED}
    ),
    S.PRESSED: frozenset(
        {H.STARTED, H.SOFT_CROSSED, H.DEGRADED}
        | {H.GRACE_ELAPSED, H.RETRY_ELAPSED, H.GIVE_UP_ELAPSED}
    ),
    S.TERMINATING: frozenset(
        {H.STARTED, H.SOFT_CROSSED, H.SOFT_CLEARED, H.STOP_REQUESTED, H.DEGRADED}
        | {H.TIMEOUT_ELAPSED, H.PATIENCE_ELAPSED, H.RETRY_ELAPSED, H.GIVE_UP_ELAPSED}
    ),
    S.LINGERING: frozenset(
        {H.STARTED, H.SOFT_CROSSED, H.SOFT_CLEARED, H.STOP_REQUESTED, H.MAIN_EXITED, H.DEGRADED}
        | {H.TIMEOUT_ELAPSED, H.PATIENCE_ELAPSED, H.RETRY_ELAPSED, H.GIVE_UP_ELAPSED}
    ),
    S.KILLING: frozenset(
        {H.STARTED, H.SOFT_CROSSED, H.SOFT_CLEARED, H.HARD_CROSSED, H.STOP_REQUESTED}
        | {H.KILL_REQUESTED, H.MAIN_EXITED, H.DEGRADED}
        | {H.TIMEOUT_ELAPSED, H.PATIENCE_ELAPSED, H.GRACE_ELAPSED}
    ),
    S.DONE: frozenset(Happening),
}

TABLE: dict[State, dict[Happening, Row]] = {
    state: {**changes, **dict.fromkeys(IGNORED[state], (state, ()))}
    for state, changes in CHANGES.items()
}

STOPPING = frozenset({State.TERMINATING, State.LINGERING, State.KILLING})

_CAUSES = {
    H.PATIENCE_ELAPSED: Verdict.SOFT_LIMIT,
    H.HARD_CROSSED: Verdict.HARD_LIMIT,
    H.TIMEOUT_ELAPSED: Verdict.TIMEOUT,
    H.STOP_REQUESTED: Verdict.STOPPED,
    H.KILL_REQUESTED: Verdict.KILLED,
    H.MAIN_EXITED: Verdict.EXITED,
    H.EMPTIED: Verdict.EXITED,
}
"""Who is to blame when this happening ends the quiet life."""

_KILLED = {
    Verdict.SOFT_LIMIT: Verdict.SOFT_LIMIT_KILLED,
    Verdict.TIMEOUT: Verdict.TIMEOUT_KILLED,
    Verdict.STOPPED: Verdict.KILLED,
}
"""The verdict when the main process had to be killed after it was asked."""


class Escalation:
    """One run's walk through the table, and whom it blames."""

    def __init__(self) -> None:
        """Begin in STARTING with nobody to blame."""
        self.state = State.STARTING
        self.cause: Verdict | None = None
        self.wall_in_grace = False
        self._main_ended = False
        self._killed_main = False

    def feed(self, happening: Happening) -> tuple[Action, ...]:
        """Take one step; the actions to perform, in order."""
        before = self.state
        self.state, actions = TABLE[before][happening]
        if self.state is not before:
            self._blame(before, happening)
        if happening is H.MAIN_EXITED or (happening is H.EMPTIED and before is not S.KILLING):
            self._main_ended = True
        if self.state is S.KILLING and not self._main_ended:
            self._killed_main = True
        return actions

    def _blame(self, before: State, happening: Happening) -> None:
        ending = self.state in STOPPING or self.state is S.DONE
        if self.cause is None and ending:
            self.cause = _CAUSES[happening]
        elif happening is H.HARD_CROSSED and not self._main_ended and before in STOPPING:
            self.cause = Verdict.HARD_LIMIT
            self.wall_in_grace = True

    def verdict(self, status: CommandStatus | None) -> Verdict:
        """The verdict on a run whose main process ended with `status` (None: it could not end)."""
        cause = self.cause or Verdict.EXITED
        if cause is Verdict.EXITED:
            return Verdict.SIGNALLED if isinstance(status, Signalled) else Verdict.EXITED
        if self._killed_main and not _ended_by_itself(status):
            return _KILLED.get(cause, cause)
        return cause


def _ended_by_itself(status: CommandStatus | None) -> bool:
    """Whether it was gone before our SIGKILL arrived: the kill can race a polite end."""
    return isinstance(status, Exited) or (
        isinstance(status, Signalled) and status.signal != SIGKILL
    )

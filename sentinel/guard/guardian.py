"""One run: collect what happened, feed the policy, perform its actions, keep the journal."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from sentinel.enclosure import Enclosure, Sweep, Waiter
from sentinel.guard.conclusion import conclude
from sentinel.guard.deeds import Deeds
from sentinel.guard.durations import LOOK_AGAIN_AFTER, duration_of
from sentinel.guard.evidence import Evidence
from sentinel.guard.journal import Journal, Listener
from sentinel.linux.process import Child, ChildReport
from sentinel.linux.signals import (
    Received,
    is_forwarded,
    is_key,
    may_be_for_group,
    means_now,
)
from sentinel.model.actions import Action, Arm, Disarm, Do
from sentinel.model.errors import SentinelError
from sentinel.model.events import ELAPSED, Event, Happening, Timer
from sentinel.model.outcome import ASKED, CommandStatus, Ledger, Outcome
from sentinel.model.signals import SIGCONT
from sentinel.model.spec import Command, RunSpec
from sentinel.policy.escalation import STOPPING, Escalation, State
from sentinel.policy.oom import blamed

Spawn = Callable[[Command, Callable[[], None], int], Child]


class Launch(NamedTuple):
    """A run to start: what was asked, where it is held, what to clear away beside it."""

    spec: RunSpec
    enclosure: Enclosure
    sweeps: tuple[Sweep, ...] = ()


class Guardian:
    """Watches over one run. `done` once its outcome is known."""

    def __init__(self, launch: Launch, waiter: Waiter, listener: Listener) -> None:
        """Nothing is started yet."""
        self.spec = launch.spec
        self.enclosure = launch.enclosure
        self._waiter = waiter
        self.escalation = Escalation()
        self.journal = Journal(launch.spec, listener)
        self._timers: dict[Timer, float] = {}
        self._look_at: float | None = None
        self._main: Child | None = None
        self._main_end_told = self._blind = False
        self.evidence = Evidence()
        self.deeds = Deeds(has_leaf=bool(launch.enclosure.where))
        self.frozen = False
        self.ledger: Ledger | None = None
        self.outcome: Outcome | None = None

    def start(self, spawn: Spawn, clock: Callable[[], float]) -> None:
        """Start the command inside the enclosure. Raises StartError, after which it is closed."""
        try:
            self._main = spawn(self.spec.command, self.enclosure.enter, self.spec.stop.signal)
        except BaseException:
            self.enclosure.close()
            raise
        now = clock()
        self.journal.begin(now)
        try:
            self.enclosure.adopt(self._main, self._waiter, now)
        except BaseException:
            self.abandon()  # a command that nobody watches must not go on
            raise
        where = f" in {self.enclosure.where}" if self.enclosure.where else ""
        self.feed(Event(Happening.STARTED, detail=f"pid {self._main.pid}{where}"), now)

    @property
    def done(self) -> bool:
        """Whether the run is over and counted."""
        return self.outcome is not None

    @property
    def stopping(self) -> bool:
        """Whether a stop of ours is under way."""
        return self.escalation.state in STOPPING

    def deadline(self) -> float | None:
        """When `turn` must be called at the latest; None while only events matter."""
        times = list(self._timers.values())
        if self._look_at is not None:
            times.append(self._look_at)
        return min(times, default=None)

    def turn(self, now: float, ready: set[object]) -> None:
        """Take in what is ready and what is due."""
        if self.done:
            return
        for event in self._collect(now, ready):
            self.feed(event, now)
        for timer, due in sorted(self._timers.items(), key=lambda item: item[1]):
            if due <= now and self._timers.get(timer) == due:
                del self._timers[timer]
                self.feed(Event(ELAPSED[timer]), now)

    def _collect(self, now: float, ready: set[object]) -> Iterator[Event]:
        """What happened, memory first: an OOM must be known before the death that it caused."""
        main_ended = self._main is not None and self._main.status is not None
        due = self._look_at is not None and self._look_at <= now
        if self.enclosure in ready or due or (main_ended and not self._main_end_told):
            yield from self._look(now)
        if main_ended:
            if self.enclosure.is_empty():
                yield Event(Happening.EMPTIED)
            elif not self._main_end_told:
                yield Event(Happening.MAIN_EXITED)
            self._main_end_told = True

    def _look(self, now: float) -> tuple[Event, ...]:
        """Judge the memory. A watch that fails costs the command its guard, never its life."""
        try:
            look = self.enclosure.look(now)
        except Exception as error:  # noqa: BLE001 - told once, and tried again at leisure
            self._look_at = now + LOOK_AGAIN_AFTER
            told, self._blind = self._blind, True
            detail = f"the watch failed: {type(error).__name__}: {error}"
            return () if told else (Event(Happening.DEGRADED, detail=detail),)
        self._look_at = look.again
        for what, detail in look.news:
            self.journal.note(now, what, detail)
        return look.events

    def feed(self, event: Event, now: float) -> None:
        """Tell the policy, journal the news, perform what it orders."""
        if self.done:
            return
        before = self.escalation.state
        actions = self.escalation.feed(event.what)
        if actions or self.escalation.state is not before:
            self.journal.note(now, event.what.value, event.detail, event.reading)
        self.evidence.see(before, event)
        for action in actions:
            self._perform(action, now)

    def _perform(self, action: Action, now: float) -> None:
        """Carry out one order; a kernel file that refuses is journaled, never fatal."""
        if isinstance(action, Arm):
            duration = duration_of(action.timer, self.spec.stop)
            if duration is not None:
                self._timers[action.timer] = now + duration
            return
        if isinstance(action, Disarm):
            self._timers.pop(action.timer, None)
            return
        try:
            self._order(action, now)
        except SentinelError as error:
            self.journal.note(now, "degraded", f"{action.value}: {error}")

    def _order(self, action: Do, now: float) -> None:
        enclosure, evidence = self.enclosure, self.evidence
        if action is Do.LIFT_WIRE or action is Do.ARM_WIRE:
            enclosure.set_wire(armed=action is Do.ARM_WIRE, now=now)
            self.deeds.wired(armed=action is Do.ARM_WIRE)
        elif action is Do.ASK_TO_STOP:
            self._ask(now)
        elif action is Do.KILL_ALL:
            evidence.killed_at = evidence.killed_at or now
            killed = enclosure.kill()
            self.deeds.killed()
            if evidence.killed is None:  # the first that was not refused
                evidence.killed = killed
                self.journal.note(now, "killed", f"{killed} found alive")
        else:
            self._finish(now)

    def _ask(self, now: float) -> None:
        evidence, plan = self.evidence, self.spec.stop
        self._thaw(now)
        main_lives = self._main is not None and self._main.status is None
        first, evidence.asked_at = evidence.asked_at is None, evidence.asked_at or now
        asked = self.enclosure.ask(plan.signal, main_only=plan.main_only and main_lives)
        if asked or first:
            self.deeds.asked(evidence.reaction())
            self.journal.note(now, ASKED, f"{asked} asked", evidence.trigger)

    def _thaw(self, now: float) -> None:
        """Let a frozen run go on: who is halted can handle no signal."""
        if self.frozen:
            with suppress(SentinelError):
                self.freeze(frozen=False, now=now)

    def freeze(self, *, frozen: bool, now: float) -> None:
        """Halt the run, or let it go on. Raises SentinelError."""
        self.enclosure.freeze(frozen=frozen)
        self.frozen = frozen
        self.deeds.froze(frozen=frozen)
        self.journal.note(now, "frozen" if frozen else "thawed")

    def change(self, spec: RunSpec, now: float) -> None:
        """Go on by the limits and the stop plan of `spec`. Raises KernelFileError."""
        if spec.limits != self.spec.limits:
            self.enclosure.set_limits(spec.limits, now)
            self.look_again(now)
        self.spec = self.journal.spec = spec
        if self.escalation.state is State.PRESSED:
            self.feed(Event(Happening.SOFT_CLEARED), now)  # the next look will tell

    def look_again(self, now: float) -> None:
        """Have the memory judged at once."""
        self._look_at = now

    def child_changed(self, report: ChildReport) -> bool:
        """Take in the end of a child; whether it was the main process."""
        if self.done or report.status is None:
            return False
        self.enclosure.reaped(report.pid)
        if self._main is None or report.pid != self._main.pid:
            return False
        self._main.status = report.status
        return True

    @property
    def main_pid(self) -> int:
        """Number of the main process; 0 before the start."""
        return 0 if self._main is None else self._main.pid

    @property
    def main_status(self) -> CommandStatus | None:
        """How the main process ended; None while it lives, or when it never did."""
        return None if self._main is None else self._main.status

    def is_main(self, pid: int) -> bool:
        """Whether `pid` is the living main process."""
        return self._main is not None and self._main.status is None and self._main.pid == pid

    def is_stopped(self) -> bool:
        """Whether the main process is stopped at this moment."""
        return self._main is not None and self._main.is_stopped()

    def rests(self) -> bool:
        """Whether the main process is stopped by a stop that was told before."""
        return self._main is not None and self._main.rests()

    def go_on(self) -> None:
        """Continue the command after Sentinel itself was continued; never one that we froze."""
        if self._main is not None and not self.frozen:
            self._main.go_on()

    def take(self, received: Received, now: float, *, early: bool = False) -> None:
        """A signal was sent to Sentinel: forward it, or hurry a stop that is under way.

        `early`: before the command was started. A process of the run that signals its own
        group (`trap 'kill 0' TERM`) reached the command by itself, and hurries nobody. A sender
        who is gone already, pkill(1) for one, is taken for a stranger.
        """
        if is_key(received):
            self.evidence.keys.add(received.number)
        if received.number == SIGCONT:
            self.go_on()
        if self._main is None or not is_forwarded(received, early=early):
            return
        within = self._main.begot(received.pid)
        if self.stopping and means_now(received):
            if not within:
                self._hurry(received, now)
        elif not (within and may_be_for_group(received)):
            if not received.by_kernel:
                self.evidence.forwarded = received
            self._main.send(received.number)
            if means_now(received):
                self._thaw(now)

    def _hurry(self, received: Received, now: float) -> None:
        self.evidence.hurried_by = f"uid {received.uid}"
        detail = f"signal {received.number} from pid {received.pid}"
        self.feed(Event(Happening.KILL_REQUESTED, detail=detail), now)

    def abandon(self) -> None:
        """Sentinel itself failed: leave nothing alive and nothing behind."""
        if self.outcome is None:
            for end in (self.enclosure.kill, self.enclosure.close):
                with suppress(SentinelError):
                    end()

    def _finish(self, now: float) -> None:
        status = self.main_status
        try:
            ledger = self.enclosure.close()
        except SentinelError as error:
            ledger = Ledger(unremoved=str(error))
        self.ledger = ledger
        self.deeds.ended(self.evidence.asked_at, now)
        self._timers.clear()
        self._look_at = None
        verdict = blamed(self.escalation.verdict(status), status, ledger)
        self.journal.note(now, "over", verdict.value)
        self.outcome = conclude(self, verdict, ledger, now)

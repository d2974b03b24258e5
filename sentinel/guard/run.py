"""A run as those see it that observe or steer it (model/status.py, Run)."""

from __future__ import annotations

import os

from sentinel.guard.guardian import Guardian
from sentinel.linux.clock import wall
from sentinel.model.errors import SentinelError
from sentinel.model.events import Event, Happening
from sentinel.model.outcome import Moment
from sentinel.model.request import (
    OVER,
    Freeze,
    Kill,
    Reclaim,
    Reply,
    Request,
    SetGrace,
    SetLimit,
    Stop,
    Thaw,
)
from sentinel.model.signals import signal_name
from sentinel.model.snapshot import Reading
from sentinel.model.status import Actions, RunStatus, Tally, counted
from sentinel.model.units import MIB, SMALLEST_LIMIT, format_duration, format_size

LEAST_HEADROOM = 64 * MIB
"""Bytes of head-room for a wall that has to move up with the limit."""
LEAST_SPAN = 1.0
"""Seconds that growth needs to mean anything."""


class Growth:
    """Bytes per second since a query that is long enough ago; keeps two of them."""

    def __init__(self, at: float) -> None:
        """Count from an empty run at `at`."""
        self._newer = (at, 0)
        self._older: tuple[float, int] | None = None

    def ask(self, at: float, used: int) -> float | None:
        """The growth until now; None when nobody asked, or it began, long enough ago."""
        since = self._newer
        if at - since[0] >= LEAST_SPAN:
            self._older, self._newer = self._newer, (at, used)
        elif self._older is not None:
            since = self._older
        else:
            return None
        return (used - since[1]) / (at - since[0])


class GuardedRun:
    """One guardian's run: what it tells, and what it can be asked for."""

    def __init__(self, guardian: Guardian, now: float) -> None:
        """`guardian` has started its command, before `now` (monotonic seconds)."""
        self._guardian = guardian
        self._growth = Growth(guardian.journal.began)
        self._started = wall() - (now - guardian.journal.began)

    @property
    def name(self) -> str:
        """How the run is called."""
        return self._guardian.spec.name

    @property
    def pid(self) -> int:
        """Number of the main process."""
        return self._guardian.main_pid

    def status(self, now: float) -> RunStatus:
        """What it is like now. Reads two or three kernel files, at most."""
        guardian = self._guardian
        enclosure, spec = guardian.enclosure, guardian.spec
        is_open = guardian.ledger is None
        reading = enclosure.read(now) if is_open else None
        cause = guardian.escalation.cause
        return RunStatus(
            name=spec.name,
            state=guardian.escalation.state.value,
            verdict="" if cause is None else cause.value,
            backend=enclosure.backend,
            pid=guardian.main_pid,
            leaf=enclosure.where,
            command=os.fsdecode(os.path.basename(spec.command.argv[0])),
            started=self._started,
            elapsed=now - guardian.journal.began,
            reading=reading,
            tally=self._tally(),
            limits=spec.limits,
            stop=spec.stop,
            growth=self._grown(now, reading),
            frozen=guardian.frozen,
            pressure=enclosure.pressure() if is_open else None,
        )

    def _tally(self) -> Tally:
        """The enclosure's, and once it is closed what it said last."""
        ledger = self._guardian.ledger
        if ledger is None:
            return self._guardian.enclosure.tally()
        return Tally(
            ledger.peak_current,
            ledger.peak_working_set,
            ledger.high_events or 0,
            ledger.high_ignored or 0,
        )

    def _grown(self, now: float, reading: Reading | None) -> float | None:
        """Growth of what counts where every reading has it, else of what is resident."""
        guardian = self._guardian
        if reading is None or guardian.frozen:
            return None
        known = guardian.enclosure.backend != "rss"
        held = counted(reading, guardian.spec.limits.counted) if known else None
        return self._growth.ask(now, reading.current if held is None else held)

    def actions(self) -> Actions:
        """What the guard has done so far."""
        return self._guardian.deeds.actions()

    def members(self) -> tuple[int, ...]:
        """Everybody in it."""
        guardian = self._guardian
        return guardian.enclosure.members() if guardian.ledger is None else ()

    def timeline(self) -> tuple[Moment, ...]:
        """What happened so far."""
        return self._guardian.journal.timeline()

    def request(self, request: Request, asker: str, now: float) -> Reply:
        """Begin what `asker` asks for; a kernel file that refuses is an answer."""
        if self._guardian.ledger is not None:
            return Reply(OVER, ok=False)
        try:
            return self._begin(request, asker, now)
        except SentinelError as error:
            return Reply(str(error), ok=False)

    def _begin(self, request: Request, asker: str, now: float) -> Reply:
        if isinstance(request, Stop | Kill):
            end = self._stop if isinstance(request, Stop) else self._kill
            return end(asker, now)
        if self._guardian.stopping:
            return Reply("already stopping", ok=False)
        if isinstance(request, SetLimit | SetGrace):
            return self._change(request, asker, now)
        if isinstance(request, Freeze | Thaw):
            return self._freeze(frozen=isinstance(request, Freeze), now=now)
        return self._reclaim(request, now)

    def _change(self, request: SetLimit | SetGrace, asker: str, now: float) -> Reply:
        if isinstance(request, SetLimit):
            return self._set_limit(request.size, asker, now)
        return self._set_grace(request.seconds, asker, now)

    def _stop(self, asker: str, now: float) -> Reply:
        guardian = self._guardian
        if guardian.stopping:
            return Reply(f"{self.name} is being stopped already")
        guardian.evidence.hurried_by = asker
        guardian.feed(Event(Happening.STOP_REQUESTED, detail=asker), now)
        plan = guardian.spec.stop
        sent, grace = signal_name(plan.signal), format_duration(plan.grace)
        return Reply(f"stopping {self.name}: sent {sent}, {grace} to finish")

    def _kill(self, asker: str, now: float) -> Reply:
        self._guardian.evidence.hurried_by = asker
        self._guardian.feed(Event(Happening.KILL_REQUESTED, detail=asker), now)
        return Reply(f"killing {self.name}")

    def _set_limit(self, size: int, asker: str, now: float) -> Reply:
        if size < SMALLEST_LIMIT:
            return Reply(f"{size} bytes is too small for any program: use 1M or more", ok=False)
        guardian = self._guardian
        limits = guardian.spec.limits._replace(soft=size)
        said = f"limit {format_size(size)}"
        if limits.hard is not None and limits.hard <= size:
            limits = limits._replace(hard=size + max(size // 2, LEAST_HEADROOM))
            said += f", hard limit raised to {format_size(limits.hard or 0)}"
        guardian.change(guardian.spec._replace(limits=limits), now)
        guardian.journal.note(now, "limit changed", f"{said}, by {asker}")
        return Reply(said)

    def _set_grace(self, seconds: float, asker: str, now: float) -> Reply:
        guardian = self._guardian
        stop = guardian.spec.stop._replace(grace=seconds)
        guardian.change(guardian.spec._replace(stop=stop), now)
        said = f"grace {format_duration(seconds)}"
        guardian.journal.note(now, "grace changed", f"{said}, by {asker}")
        return Reply(said)

    def _freeze(self, *, frozen: bool, now: float) -> Reply:
        word = "frozen" if frozen else "thawed"
        if self._guardian.frozen is frozen:
            return Reply(f"{self.name} is {'frozen already' if frozen else 'not frozen'}")
        self._guardian.freeze(frozen=frozen, now=now)
        return Reply(f"{word} {self.name}")

    def _reclaim(self, request: Reclaim, now: float) -> Reply:
        guardian = self._guardian
        guardian.enclosure.reclaim(request.size)
        guardian.deeds.reclaimed()
        guardian.look_again(now)
        amount = "all that can be freed" if request.size is None else format_size(request.size)
        guardian.journal.note(now, "reclaiming", amount)
        return Reply(f"reclaiming {amount} of {self.name}")

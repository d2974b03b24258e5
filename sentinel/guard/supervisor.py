"""Many runs, one thread, one wait: the loop that turns every guardian."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from sentinel.enclosure import Sweep
from sentinel.guard.attendance import UNATTENDED, Attend, Attendance
from sentinel.guard.guardian import Guardian, Launch
from sentinel.guard.journal import Listener
from sentinel.linux.loop import Loop
from sentinel.linux.process import Child, ChildReport, prefer_this_process, reap
from sentinel.linux.signals import Received, SignalDesk, end_by, is_stop
from sentinel.linux.spawn import spawn
from sentinel.model.errors import SentinelError, StartError
from sentinel.model.outcome import Ledger, Moment, Outcome, Verdict
from sentinel.model.snapshot import Reading
from sentinel.model.spec import Command, RunSpec
from sentinel.model.status import Run

__all__ = ["Attend", "Launch", "end_by", "supervise"]

OBSERVER_LOST = "observer lost"
"""The moment that tells of an attendant who failed."""

SWEEP_DEADLINE = 1.0
"""Seconds that the end of the last run may be delayed by the clearing of dead runs."""


def supervise(
    launches: Sequence[Launch],
    listener: Listener,
    *,
    opening: Callable[[], None] = lambda: None,
    attend: Attend = UNATTENDED,
    final: bool = True,
) -> list[Outcome]:
    """Start every launch and guard it to its end; outcomes in the order of `launches`.

    Must run in the main thread of a single-threaded process: it forks, takes over the signals
    and reaps every child. A run that cannot start gets the verdict failed-to-start. `opening`
    is called before anything starts, when no terminal can stop this process any more for what
    it writes (stty tostop). `attend` says how those come who observe and steer the runs.
    `final`: the process will only report and end, so the signals stay blocked.
    """
    return _Supervisor(listener, attend, final=final).run(launches, opening)


class _Supervisor:
    """Owns the loop and the signals for as long as there are runs."""

    def __init__(self, listener: Listener, attend: Attend, *, final: bool) -> None:
        self._final = final
        self._listener = listener
        self._attend = attend
        self._loop = Loop()
        self._desk = SignalDesk()
        self._attendance = Attendance(self._loop, self._lost)
        self._attend_at: float | None = None
        self._guardians: list[Guardian] = []
        self._runs: dict[Guardian, Run] = {}
        self._sweeps: list[Sweep] = []

    def run(self, launches: Sequence[Launch], opening: Callable[[], None]) -> list[Outcome]:
        """Start, guard, sweep, count."""
        self._loop.watch(self._desk.fd, self._desk)
        try:
            opening()
            outcomes = [self._start(launch) for launch in launches]
            prefer_this_process()
            self._attend_at = self._loop.now() + self._attend.after
            if self._attend.after <= 0:
                self._begin_attendance()
            while not all(guardian.done for guardian in self._guardians):
                self._turn()
            self._end_sweeps()
        except BaseException:
            for guardian in self._guardians:
                guardian.abandon()
            raise
        finally:
            self._attendance.close()
            self._desk.close(final=self._final)
            self._loop.close()
        return [found() for found in outcomes]

    def _start(self, launch: Launch) -> Callable[[], Outcome]:
        """Start one run and then what clears away the dead ones; where its outcome will be."""

        def hear(spec: RunSpec, moment: Moment, reading: Reading | None) -> None:
            self._listener(spec, moment, reading)
            if guardian in self._runs:
                self._attendance.told(self._runs[guardian], moment, reading)

        guardian = Guardian(launch, self._loop, hear)
        early = self._take_signals(self._loop.now())
        try:
            guardian.start(self._spawn, self._loop.now)
        except SentinelError as error:
            failed = _failed(launch, error)
            return lambda: failed
        for received in early:
            guardian.take(received, self._loop.now(), early=True)
        self._guardians.append(guardian)
        for sweep in launch.sweeps:
            try:
                sweep.begin(self._loop)
            except SentinelError:
                sweep.close()  # the next start tries again
                continue
            self._sweeps.append(sweep)

        def outcome() -> Outcome:
            if guardian.outcome is None:
                raise AssertionError(launch.spec.name)
            return guardian.outcome

        return outcome

    def _lost(self, complaint: str) -> None:
        """An attendant failed: the journal of every run says so, and goes on."""
        now = self._loop.now()
        for guardian in self._guardians:
            if not guardian.done:
                guardian.journal.note(now, OBSERVER_LOST, complaint)

    def _spawn(self, command: Command, enter: Callable[[], None], death_signal: int) -> Child:
        return spawn(command, enter, self._desk, death_signal)

    def _turn(self) -> None:
        """Wait once; take signals, children, and everything that is ready or due."""
        deadlines = [guardian.deadline() for guardian in self._guardians]
        deadlines += [self._attendance.deadline(), self._attend_at]
        ready = self._loop.wait(min((at for at in deadlines if at is not None), default=None))
        now = self._loop.now()
        if self._desk in ready:
            self._take_signals(now)
            self._take_children()
        for guardian in self._guardians:
            self._turn_guardian(guardian, now, ready)
        waits = self._attend_at is not None and self._attend_at <= now
        if waits and not all(guardian.done for guardian in self._guardians):
            self._begin_attendance()
        self._attendance.turn(now, ready)
        for sweep in self._sweeps:
            if sweep in ready:
                _advance(sweep)

    def _begin_attendance(self) -> None:
        self._attend_at = None
        self._attendance.begin(self._attend, self._guarded_runs)
        # With what they have imported; and who ends sooner is not swapped out.
        with suppress(OSError):  # no descriptor is left to import it through
            from sentinel.linux.mlock import stay_in_memory

            stay_in_memory()

    def _guarded_runs(self) -> Sequence[Run]:
        """What observers ask: not imported for a run that ends before anybody could."""
        from sentinel.guard.run import GuardedRun

        now = self._loop.now()
        self._runs = {guardian: GuardedRun(guardian, now) for guardian in self._guardians}
        return list(self._runs.values())

    def _turn_guardian(self, guardian: Guardian, now: float, ready: set[object]) -> None:
        was_done = guardian.done
        guardian.turn(now, ready)
        if guardian.outcome is not None and not was_done and guardian in self._runs:
            self._attendance.ended(self._runs[guardian], guardian.outcome)

    def _take_signals(self, now: float) -> list[Received]:
        """Hand out what Sentinel was sent; all of it."""
        signals = self._desk.read()
        for received in signals:
            for guardian in self._guardians:
                guardian.take(received, now)
                if is_stop(received) and guardian.rests():
                    # The key of one who waits for a prompt: an explicit SIGSTOP gave him none.
                    self._stop_with(guardian, received.number)
        return signals

    def _take_children(self) -> None:
        for report in reap():
            for guardian in self._guardians:
                guardian.child_changed(report)
                self._mirror_stop(guardian, report)

    def _mirror_stop(self, guardian: Guardian, report: ChildReport) -> None:
        """Stop with the command when its terminal stopped it, so that the shell gets its prompt."""
        if report.stopped_by is None or not guardian.is_main(report.pid):
            return
        self._stop_with(guardian, report.stopped_by)

    def _stop_with(self, guardian: Guardian, number: int) -> None:
        ours = guardian.stopping or guardian.frozen
        if not ours and self._desk.stop_self(number, guardian.is_stopped):
            guardian.go_on()

    def _end_sweeps(self) -> None:
        """Finish clearing, within the deadline; the rest is for the next start."""
        deadline = self._loop.now() + SWEEP_DEADLINE
        unfinished = [sweep for sweep in self._sweeps if not _advance(sweep)]
        while unfinished and self._loop.now() < deadline:
            self._loop.wait(deadline)
            unfinished = [sweep for sweep in unfinished if not _advance(sweep)]
        for sweep in self._sweeps:
            sweep.close()


def _advance(sweep: Sweep) -> bool:
    """Turn `sweep`; whether it is done. A dead run's remains must not cost a living one."""
    try:
        return sweep.turn()
    except SentinelError:
        return True


def _failed(launch: Launch, error: SentinelError) -> Outcome:
    status = error.exit_status if isinstance(error, StartError) else SentinelError.exit_status
    return Outcome(
        name=launch.spec.name,
        backend=launch.enclosure.backend,
        verdict=Verdict.FAILED_TO_START,
        command_status=None,
        limits=launch.spec.limits,
        ledger=Ledger(),
        grace=launch.spec.stop.grace,
        unenforced=launch.enclosure.unenforced,
        failure=str(error),
        exit_status=status,
    )

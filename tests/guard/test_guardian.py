"""Whole stories of one run: exact timelines and outcomes, virtual seconds, real processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sentinel.guard.guardian import Guardian, Launch
from sentinel.linux.process import Child, ChildReport, reap
from sentinel.linux.signals import Received
from sentinel.model.errors import KernelFileError, StartError
from sentinel.model.events import Event, Happening
from sentinel.model.outcome import Exited, Reaction, Signalled, Verdict
from sentinel.model.snapshot import Reading
from tests.contract.fake import FakeEnclosure
from tests.guard.run import BEGAN, MIB, Run, process_spawn, spec_of
from tests.victims.build import victim
from tests.victims.running import wait_until

pytestmark = pytest.mark.native
H = Happening
TERM, KILL, INT, USR1 = signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGUSR1
OVER = Reading(BEGAN + 5, 66 * MIB, 65 * MIB)
CROSSED = Event(H.SOFT_CROSSED, OVER, first_event=BEGAN + 4.5, first_over=BEGAN + 4.97)
CLEARED = Event(H.SOFT_CLEARED, Reading(BEGAN + 6, 10 * MIB, 10 * MIB))
OOM = Event(H.HARD_CROSSED, Reading(BEGAN + 6, 96 * MIB, 95 * MIB), "out of memory")
HOLD = (victim(), "hold", "size=1M")
DEAF = (victim(), "hold", "size=1M", "term=ignore")

Starts = Callable[..., Run]


@pytest.fixture
def begin() -> Iterator[Starts]:
    """Start runs; nobody of them is left at the end."""
    runs: list[Run] = []

    def start(*argv: str, started: bool = True, **how: Any) -> Run:
        runs.append(Run(*argv, **how))
        return runs[-1].start() if started else runs[-1]

    yield start
    for run in runs:
        run.end()


def ready(run: Run) -> None:
    """Wait until a victim ignores what it was told to ignore."""

    def deaf() -> bool:
        with open(f"/proc/{run.main.pid}/status", encoding="ascii") as file:
            (word,) = (line.split()[1] for line in file if line.startswith("SigIgn:"))
        return bool(int(word, 16) >> (TERM - 1) & 1)

    wait_until("deafness", deaf)


# --- ends of their own -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "status", "verdict", "code"),
    [
        ("exit 0", Exited(0), Verdict.EXITED, 0),
        ("exit 3", Exited(3), Verdict.EXITED, 3),
        ("exit 124", Exited(124), Verdict.EXITED, 124),
        ("kill -KILL $$", Signalled(9), Verdict.SIGNALLED, 137),
        ("ulimit -c 0; kill -SEGV $$", Signalled(11), Verdict.SIGNALLED, 139),
    ],
)
def test_a_command_that_ends_by_itself(
    begin: Starts, script: str, status: Exited | Signalled, verdict: Verdict, code: int
) -> None:
    """Its own status, nobody asked, nobody killed."""
    run = begin("sh", "-c", script)
    run.now += 2.5
    run.ends()
    assert run.story() == ["2.5 emptied", f"2.5 over: {verdict.value}"]
    outcome = run.outcome
    assert (outcome.verdict, outcome.command_status, outcome.exit_status) == (verdict, status, code)
    assert (outcome.elapsed, outcome.grace_used, outcome.survivors_killed) == (2.5, None, 0)
    assert (outcome.trigger, outcome.reaction) == (None, Reaction())
    assert run.orders() == ["close"]


def test_the_start_names_the_process(begin: Starts) -> None:
    """The first moment is the exec, at 0."""
    run = begin(*HOLD)
    assert run.moments[0][:3] == (0.0, "started", f"pid {run.main.pid}")


def test_nothing_is_due_while_it_is_idle(begin: Starts) -> None:
    """Without --timeout and news there is no deadline at all; with one there is that one."""
    assert begin(*HOLD).guardian.deadline() is None
    assert begin(*HOLD, timeout=7.0).guardian.deadline() == BEGAN + 7


def test_a_stop_of_the_command_is_not_its_end(begin: Starts) -> None:
    """Nor is its number free: only the dead are told to the enclosure."""
    run = begin(*HOLD)
    assert not run.guardian.child_changed(ChildReport(run.main.pid, stopped_by=signal.SIGTSTP))
    assert run.main.status is None
    assert [done for done in run.enclosure.done if done.startswith("reaped")] == []
    run.turn()
    assert not run.guardian.done


def test_children_of_others_are_none_of_its_business(begin: Starts) -> None:
    """An orphan that fell to us is told to the enclosure and changes nothing."""
    run = begin(*HOLD)
    assert not run.guardian.child_changed(ChildReport(4242, Exited(1)))
    assert run.enclosure.done[-1] == "reaped 4242"
    run.turn()
    assert not run.guardian.done
    assert [run.guardian.is_main(pid) for pid in (4242, run.main.pid)] == [False, True]


# --- the soft limit --------------------------------------------------------------------------


def test_a_polite_end(begin: Starts) -> None:
    """The wire is lifted, the command asked, and it goes within its grace."""
    run = begin(*HOLD, script=[(5.0, CROSSED)])
    run.advance(5)
    run.now += 0.25
    run.ends()
    assert run.story() == [
        "5 soft crossed",
        "5 patience elapsed",
        "5 asked to stop: 1 asked",
        "5.25 emptied",
        "5.25 over: soft-limit",
    ]
    assert run.orders() == ["lift", "lift", "ask 15", "close"]
    outcome = run.outcome
    assert (outcome.verdict, outcome.exit_status) == (Verdict.SOFT_LIMIT, 124)
    assert outcome.command_status == Signalled(TERM)
    assert (outcome.grace, outcome.grace_used) == (3.0, 0.25)
    assert outcome.trigger == OVER
    assert outcome.reaction.from_first_event == pytest.approx(0.5)
    assert outcome.reaction.from_first_over == pytest.approx(0.03)
    assert (outcome.survivors_killed, outcome.wall_in_grace) == (0, False)


def test_the_status_is_preserved_on_request(begin: Starts) -> None:
    """--preserve-status: as the command did."""
    run = begin(*HOLD, script=[(5.0, CROSSED)], preserve=True)
    run.advance(5)
    run.ends()
    assert (run.outcome.verdict, run.outcome.exit_status) == (Verdict.SOFT_LIMIT, 143)


def test_a_command_that_does_not_go_is_killed_when_its_grace_is_over(begin: Starts) -> None:
    """TERM is ignored, five virtual seconds pass, KILL is real."""
    run = begin(*DEAF, script=[(5.0, CROSSED)])
    ready(run)
    run.advance(5)
    run.advance(2.999)
    assert "kill" not in run.orders()
    run.advance(0.001)
    run.ends()
    assert run.story()[3:] == [
        "8 grace elapsed",
        "8 killed: 1 found alive",
        "8 emptied",
        "8 over: soft-limit-killed",
    ]
    outcome = run.outcome
    assert (outcome.exit_status, outcome.command_status) == (124, Signalled(KILL))
    assert (outcome.grace_used, outcome.survivors_killed) == (3.0, 1)


@pytest.mark.parametrize(("grace", "plan"), [(0.0, {"grace": 0.0}), (10.0, {"grace": 10.0})])
def test_the_grace_is_the_users(begin: Starts, grace: float, plan: dict[str, float]) -> None:
    """No grace is a polite signal and a kill in the same instant."""
    run = begin(*DEAF, script=[(5.0, CROSSED)], **plan)
    ready(run)
    run.advance(5 + grace)
    assert run.orders() == ["lift", "lift", "ask 15", "kill"]
    run.ends()
    assert run.outcome.grace_used == grace
    assert run.outcome.verdict is Verdict.SOFT_LIMIT_KILLED


def test_the_polite_signal_is_the_users(begin: Starts) -> None:
    """--signal INT, --signal-main-only."""
    run = begin(*HOLD, script=[(5.0, CROSSED)], signal=int(INT), main_only=True)
    run.advance(5)
    assert run.orders() == ["lift", "lift", "ask 2 main"]
    run.ends()
    assert run.outcome.command_status == Signalled(INT)


def test_patience_runs_out(begin: Starts) -> None:
    """--for 2s: over the limit for two seconds, unbraked, before anything is signalled."""
    run = begin(*HOLD, script=[(5.0, CROSSED)], patience=2.0)
    run.advance(6.999)
    assert run.orders() == ["lift"]
    run.advance(0.001)
    assert run.story() == [
        "5 soft crossed",
        "7 patience elapsed",
        "7 asked to stop: 1 asked",
    ]
    run.ends()
    assert run.outcome.verdict is Verdict.SOFT_LIMIT


def test_a_crossing_that_clears_in_time_is_forgiven(begin: Starts) -> None:
    """The wire is armed again, the next crossing begins anew."""
    again = Event(H.SOFT_CROSSED, OVER._replace(at=BEGAN + 10))
    run = begin(*HOLD, script=[(5.0, CROSSED), (6.0, CLEARED), (10.0, again)], patience=2.0)
    run.advance(9)
    assert run.guardian.deadline() == BEGAN + 10
    assert run.orders() == ["lift", "arm"]
    run.advance(2.9)
    assert run.orders() == ["lift", "arm", "lift"]
    run.advance(0.1)
    assert run.story() == [
        "5 soft crossed",
        "6 soft cleared",
        "10 soft crossed",
        "12 patience elapsed",
        "12 asked to stop: 1 asked",
    ]


def test_a_run_that_crosses_for_weeks_does_not_grow_its_guard(begin: Starts) -> None:
    """The timeline keeps its first thousand moments."""
    swing = [(float(at), CROSSED if at % 2 else CLEARED) for at in range(1, 3001)]
    run = begin(*HOLD, script=swing, patience=2.0)
    run.advance(3000)
    run.main.send(KILL)
    run.ends()
    assert len(run.moments) > 3000
    assert len(run.outcome.timeline) == 1000


# --- other causes ----------------------------------------------------------------------------


def test_a_timeout_counts_from_the_exec(begin: Starts) -> None:
    """The same two steps, the wire lifted first."""
    run = begin(*HOLD, timeout=7.0)
    run.advance(6.999)
    assert run.orders() == []
    run.advance(0.001)
    run.ends()
    assert run.story() == [
        "7 timeout elapsed",
        "7 asked to stop: 1 asked",
        "7 emptied",
        "7 over: timeout",
    ]
    assert run.orders() == ["lift", "ask 15", "close"]
    assert (run.outcome.verdict, run.outcome.exit_status) == (Verdict.TIMEOUT, 124)
    assert run.outcome.trigger is None


def test_a_timeout_that_has_to_kill(begin: Starts) -> None:
    """And a crossing in its grace changes nothing."""
    run = begin(*DEAF, timeout=7.0, script=[(8.0, CROSSED)])
    ready(run)
    run.advance(10)
    run.ends()
    assert run.outcome.verdict is Verdict.TIMEOUT_KILLED
    assert run.orders() == ["lift", "ask 15", "kill", "close"]
    assert run.outcome.trigger is None


def test_an_oom_at_the_wall(begin: Starts) -> None:
    """The rest of the run is killed at once; nobody was asked."""
    run = begin(*HOLD, script=[(6.0, OOM)])
    run.advance(6)
    run.ends()
    assert run.story() == [
        "6 hard crossed: out of memory",
        "6 killed: 1 found alive",
        "6 emptied",
        "6 over: hard-limit",
    ]
    outcome = run.outcome
    assert (outcome.verdict, outcome.exit_status) == (Verdict.HARD_LIMIT, 124)
    assert (outcome.grace_used, outcome.wall_in_grace) == (None, False)
    assert outcome.trigger == OOM.reading


def test_an_oom_in_the_grace(begin: Starts) -> None:
    """The head-room was too small for the handler: that is what is told."""
    run = begin(*DEAF, script=[(5.0, CROSSED), (6.0, OOM)])
    ready(run)
    run.advance(6)
    run.ends()
    assert run.story()[3:] == [
        "6 hard crossed: out of memory",
        "6 killed: 1 found alive",
        "6 emptied",
        "6 over: hard-limit",
    ]
    outcome = run.outcome
    assert (outcome.wall_in_grace, outcome.grace_used) == (True, 1.0)
    assert outcome.trigger == OVER


def test_an_oom_is_known_before_the_death_that_it_caused(begin: Starts) -> None:
    """The dead main process and the counter arrive in one turn; the counter is read first."""
    run = begin("sh", "-c", "kill -KILL $$", script=[(0.5, OOM)])
    run.now += 1
    run.ends()
    assert run.outcome.verdict is Verdict.HARD_LIMIT


# --- the main process goes first -------------------------------------------------------------


def family(script: str, pidfile: Path) -> tuple[str, ...]:
    """A main process that ends when `script`, its child, has written its pid."""
    shell = f"({script}) & while [ ! -s {pidfile} ]; do sleep 0.01; done; exit 5"
    return ("sh", "-c", shell)


def test_what_it_leaves_behind_goes_politely(begin: Starts, tmp_path: Path) -> None:
    """The same two steps; the verdict stays `exited`."""
    pidfile = tmp_path / "pid"
    run = begin(*family(f"echo $$ >{pidfile}; exec sleep 60", pidfile))
    run.ends()
    run.now += 0.5
    run.empties()
    assert run.story() == [
        "0 main exited",
        "0 asked to stop: 1 asked",
        "0.5 emptied",
        "0.5 over: exited",
    ]
    outcome = run.outcome
    assert (outcome.verdict, outcome.exit_status) == (Verdict.EXITED, 5)
    assert (outcome.survivors_killed, outcome.grace_used) == (0, 0.5)


def test_what_it_leaves_behind_is_killed_when_the_grace_is_over(
    begin: Starts, tmp_path: Path
) -> None:
    """And counted, with the command's own status."""
    pidfile = tmp_path / "pid"
    run = begin(*family(f"trap '' TERM; echo $$ >{pidfile}; exec sleep 60", pidfile), grace=1.0)
    run.ends()
    run.advance(1.0)
    run.empties()
    assert run.story() == [
        "0 main exited",
        "0 asked to stop: 1 asked",
        "1 grace elapsed",
        "1 killed: 1 found alive",
        "1 emptied",
        "1 over: exited",
    ]
    assert (run.outcome.exit_status, run.outcome.survivors_killed) == (5, 1)


def test_a_stop_asks_the_others_when_the_main_process_alone_was_asked(
    begin: Starts, tmp_path: Path
) -> None:
    """They get their signal when it is gone, within the one grace."""
    pidfile = tmp_path / "pid"
    child = f"trap '' TERM; echo $$ >{pidfile}; exec sleep 60"
    run = begin("sh", "-c", f"({child}) & exec sleep 60", script=[(5.0, CROSSED)], main_only=True)
    wait_until("the child", lambda: pidfile.exists() and pidfile.read_text())
    run.advance(5)
    run.now += 1
    run.ends()
    assert run.orders() == ["lift", "lift", "ask 15 main", "lift", "ask 15"]
    run.advance(2)
    run.empties()
    assert run.story()[2:] == [
        "5 asked to stop: 1 asked",
        "6 main exited",
        "6 asked to stop: 1 asked",
        "8 grace elapsed",
        "8 killed: 1 found alive",
        "8 emptied",
        "8 over: soft-limit",
    ]
    assert run.outcome.command_status == Signalled(TERM)


# --- what does not end -----------------------------------------------------------------------


def test_what_cannot_be_killed_is_given_up_after_ten_seconds(begin: Starts) -> None:
    """Killed twice a second, then named: the guard does not wait for ever."""
    run = begin(*DEAF, script=[(5.0, CROSSED)], immortal=True)
    ready(run)
    run.advance(8)
    run.ends()
    run.advance(9.999)
    assert not run.guardian.done
    assert run.orders().count("kill") == 20
    run.advance(0.001)
    assert run.story()[-2:] == ["18 give up elapsed", "18 over: soft-limit-killed"]
    assert run.orders().count("kill") == 20
    assert run.guardian.deadline() is None
    assert run.outcome.grace_used == 3.0, "up to the first kill"


def test_a_survivor_is_named(begin: Starts) -> None:
    """The kills are refused, the process lives, and the ledger says which one."""
    run = begin(*DEAF, script=[(5.0, CROSSED)])
    ready(run)
    run.enclosure.refuse("kill")
    run.advance(18)
    outcome = run.outcome
    assert [survivor.pid for survivor in outcome.ledger.left_behind] == [run.main.pid]
    assert (outcome.verdict, outcome.exit_status) == (Verdict.SOFT_LIMIT_KILLED, 124)
    assert outcome.command_status is None


# --- an enclosure that refuses ---------------------------------------------------------------


def refusal(action: str) -> str:
    """The journal's word on a refused action."""
    return f"cannot write /fake/{action}: Permission denied"


def test_a_wire_that_cannot_be_lifted_does_not_stop_the_stop(begin: Starts) -> None:
    """It is told, and the command is asked all the same."""
    run = begin(*HOLD, script=[(5.0, CROSSED)])
    run.enclosure.refuse("set_wire")
    run.advance(5)
    run.ends()
    assert run.story() == [
        "5 soft crossed",
        f"5 degraded: lift the wire: {refusal('set_wire')}",
        "5 patience elapsed",
        f"5 degraded: lift the wire: {refusal('set_wire')}",
        "5 asked to stop: 1 asked",
        "5 emptied",
        "5 over: soft-limit",
    ]


def test_a_signal_that_cannot_be_sent_does_not_stop_the_stop(begin: Starts) -> None:
    """The grace runs all the same, and ends in the kill."""
    run = begin(*HOLD, script=[(5.0, CROSSED)])
    run.enclosure.refuse("ask")
    run.advance(8)
    run.ends()
    assert run.story()[2:5] == [
        f"5 degraded: ask to stop: {refusal('ask')}",
        "8 grace elapsed",
        "8 killed: 1 found alive",
    ]
    assert run.outcome.verdict is Verdict.SOFT_LIMIT_KILLED
    assert run.outcome.grace_used == 3.0


def test_a_kill_that_fails_is_repeated(begin: Starts) -> None:
    """Half a second later it works, and is counted."""
    run = begin(*DEAF, script=[(5.0, CROSSED)])
    ready(run)
    run.enclosure.refuse("kill")
    run.advance(8)
    assert run.story()[-1] == f"8 degraded: kill all: {refusal('kill')}"
    run.enclosure.refusals.clear()
    run.advance(0.5)
    run.ends()
    assert run.outcome.verdict is Verdict.SOFT_LIMIT_KILLED
    assert run.outcome.command_status == Signalled(KILL)
    assert run.outcome.survivors_killed == 1


def test_an_end_that_cannot_be_closed_is_an_end(begin: Starts) -> None:
    """The outcome is known; what stays is named."""
    run = begin("true")
    run.enclosure.refuse("close")
    run.ends()
    assert run.outcome.verdict is Verdict.EXITED
    assert run.outcome.ledger.unremoved == refusal("close")


def test_everything_refusing_at_once_still_ends(begin: Starts) -> None:
    """The law of the table: no stopping state without a live timer."""
    run = begin(*DEAF, script=[(5.0, CROSSED)])
    ready(run)
    run.enclosure.refuse("set_wire", "ask", "kill", "close")
    run.advance(18)
    assert run.outcome.verdict is Verdict.SOFT_LIMIT_KILLED
    assert run.guardian.deadline() is None


def test_a_watch_that_fails_is_told_once_and_the_brake_is_taken_off(begin: Starts) -> None:
    """The command goes on unguarded; the watch is tried again at leisure."""
    run = begin(*HOLD, script=[(5.0, CROSSED)])
    run.enclosure.refuse("look")
    run.turn(run.enclosure)
    run.turn(run.enclosure)
    assert run.story() == [f"0 degraded: the watch failed: KernelFileError: {refusal('look')}"]
    assert run.orders() == ["lift"]
    assert run.guardian.deadline() == BEGAN + 1.0
    run.enclosure.refusals.clear()
    run.advance(5)
    assert run.story()[1:3] == ["5 soft crossed", "5 patience elapsed"]


def test_what_the_enclosure_calls_degraded_takes_the_brake_off(begin: Starts) -> None:
    """A blind guard must not leave a brake on."""
    run = begin(*HOLD, script=[(2.0, Event(H.DEGRADED, detail="blind"))])
    run.advance(3)
    assert run.story() == ["2 degraded: blind"]
    assert run.orders() == ["lift"]


# --- starts that fail ------------------------------------------------------------------------


def test_a_command_that_is_not_there(begin: Starts) -> None:
    """The enclosure is closed and the reason is the caller's to tell."""
    run = begin("/no/such/command", started=False)
    with pytest.raises(StartError) as refused:
        run.start()
    assert refused.value.exit_status == 127
    assert run.enclosure.done == ["close"]
    assert run.moments == []


def test_a_place_that_refuses(begin: Starts) -> None:
    """A failure to place is a failure to start."""
    run = begin(*HOLD, started=False)
    run.enclosure.refuse("enter")
    with pytest.raises(StartError) as refused:
        run.start()
    assert refused.value.exit_status == 125
    assert refused.value.message == refusal("enter")
    assert run.enclosure.done == ["close"]


def test_a_command_that_nobody_can_watch_does_not_go_on(begin: Starts) -> None:
    """It was started, and is killed rather than left alone."""
    run = begin(*HOLD, started=False)
    run.enclosure.refuse("adopt")
    with pytest.raises(KernelFileError):
        run.start()
    assert run.orders() == ["kill", "close"]
    wait_until("its end", lambda: os.waitid(os.P_PID, run.main.pid, os.WEXITED | os.WNOHANG))
    run.main.status = Signalled(KILL)


def test_whatever_goes_wrong_in_the_start_closes_the_enclosure() -> None:
    """An error of ours, too."""
    enclosure = FakeEnclosure()
    guardian = Guardian(Launch(spec_of("true"), enclosure), None, lambda *_: None)  # type: ignore[arg-type]

    def broken(*_: object) -> Child:
        raise MemoryError

    with pytest.raises(MemoryError):
        guardian.start(broken, lambda: 0.0)
    assert enclosure.done == ["close"]


@pytest.mark.parametrize("refused", [(), ("kill",), ("close",), ("kill", "close")])
def test_an_abandoned_run_is_killed_as_well_as_can_be(
    begin: Starts, refused: tuple[str, ...]
) -> None:
    """Sentinel itself failed: one refusal must not keep the rest from happening."""
    run = begin(*HOLD)
    run.enclosure.refuse(*refused)
    run.guardian.abandon()
    assert run.orders() == ["kill", "close"]
    if "kill" in refused:
        run.main.send(KILL)
    run.main.status = Signalled(os.waitpid(run.main.pid, 0)[1])
    run.enclosure.close = lambda: None  # type: ignore[method-assign, assignment, return-value]


# --- signals ---------------------------------------------------------------------------------


def test_a_signal_is_forwarded_once_and_starts_nothing(begin: Starts) -> None:
    """The command decides what TERM means to it."""
    run = begin(*HOLD)
    run.take(TERM)
    run.ends()
    assert run.story() == ["0 emptied", "0 over: signalled"]
    outcome = run.outcome
    assert (outcome.verdict, outcome.exit_status) == (Verdict.SIGNALLED, 143)
    assert outcome.asked_by == "pid 1, uid 4242"
    assert run.orders() == ["close"]


@pytest.mark.parametrize("number", [TERM, INT])
def test_in_a_stop_a_term_or_int_means_now(begin: Starts, number: int) -> None:
    """Whoever sends it will not wait for the grace."""
    run = begin(*DEAF, script=[(5.0, CROSSED)])
    ready(run)
    run.advance(5)
    run.now += 1
    run.take(number)
    run.ends()
    assert run.story()[3:] == [
        f"6 kill requested: signal {int(number)} from pid 1",
        "6 killed: 1 found alive",
        "6 emptied",
        "6 over: soft-limit-killed",
    ]
    assert run.outcome.asked_by == "uid 4242"
    assert run.outcome.grace_used == 1.0


def test_a_keyboards_int_never_means_now(begin: Starts, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reached the command already, and is neither forwarded nor a reason to hurry."""
    run = begin(*DEAF, script=[(5.0, CROSSED)])
    ready(run)
    sent: list[int] = []
    with monkeypatch.context() as patched:
        patched.setattr(run.main, "send", sent.append)
        run.take(INT, by_kernel=True)
    run.advance(5)
    with monkeypatch.context() as patched:
        patched.setattr(run.main, "send", sent.append)
        run.take(INT, by_kernel=True)
    assert run.orders() == ["lift", "lift", "ask 15"]
    assert sent == []


def test_other_signals_are_forwarded_in_a_stop(begin: Starts) -> None:
    """USR1 is no hurry."""
    run = begin(*DEAF, script=[(5.0, CROSSED)])
    ready(run)
    run.advance(5)
    run.take(USR1)
    run.ends()
    assert run.outcome.command_status == Signalled(USR1)
    assert run.outcome.verdict is Verdict.SOFT_LIMIT


def test_a_signal_after_the_end_of_the_main_process_reaches_nobody(
    begin: Starts, tmp_path: Path
) -> None:
    """Its number may be somebody else's by now."""
    pidfile = tmp_path / "pid"
    run = begin(*family(f"trap '' TERM; echo $$ >{pidfile}; exec sleep 60", pidfile))
    run.ends()
    run.take(USR1)
    assert run.orders() == ["lift", "ask 15"]
    run.take(TERM)
    assert run.orders() == ["lift", "ask 15", "kill"]
    run.empties()
    assert (run.outcome.verdict, run.outcome.exit_status) == (Verdict.EXITED, 5)


# --- after the end ---------------------------------------------------------------------------


def test_a_run_that_is_over_touches_its_enclosure_no_more(begin: Starts) -> None:
    """Its descriptors are closed, and their numbers may be another run's."""
    run = begin("true")
    run.ends()
    before = list(run.enclosure.done)
    moments = list(run.moments)
    closed: list[str] = []
    for name in ("is_empty", "look", "kill", "ask", "close", "reaped", "survivors"):
        setattr(run.enclosure, name, lambda *_, name=name: closed.append(name))
    run.turn(run.enclosure)
    run.take(TERM)
    run.guardian.take(Received(int(TERM), 1, 0, by_kernel=False), run.now, early=True)
    run.guardian.child_changed(ChildReport(4242, Exited(0)))
    run.guardian.go_on()
    run.guardian.abandon()
    run.turn()
    assert closed == []
    assert run.enclosure.done == before
    assert run.moments == moments
    assert run.guardian.deadline() is None


def test_the_process_that_is_spawned_is_the_one_that_was_asked_for() -> None:
    """The guardian hands the command, the entrance and the death signal to the spawner."""
    enclosure = FakeEnclosure()
    seen: list[object] = []

    def spawning(command: object, enter: object, death_signal: int) -> Child:
        seen.extend([command, enter, death_signal])
        return process_spawn(spec.command, enclosure.enter, death_signal)

    spec = spec_of("true", signal=int(USR1))
    run = Run("true")
    guardian = Guardian(Launch(spec, enclosure), run.loop, lambda *_: None)
    guardian.start(spawning, lambda: BEGAN)
    assert seen == [spec.command, enclosure.enter, int(USR1)]
    wait_until("its end", lambda: any(guardian.child_changed(report) for report in reap()))
    guardian.turn(BEGAN, set())
    assert guardian.done
    run.enclosure.close()
    run.loop.close()

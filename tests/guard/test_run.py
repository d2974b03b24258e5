"""Asking a run and changing it: exact answers and timelines, virtual seconds, real processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sentinel.guard.run import Growth, GuardedRun
from sentinel.linux.process import process_stat
from sentinel.model.events import Event, Happening
from sentinel.model.outcome import Moment, Verdict
from sentinel.model.request import (
    Freeze,
    Kill,
    Reclaim,
    Reply,
    SetGrace,
    SetLimit,
    Stop,
    Thaw,
)
from sentinel.model.snapshot import Reading
from sentinel.model.spec import Count
from sentinel.model.status import Tally
from tests.guard.run import BEGAN, MIB, Run
from tests.victims.build import victim
from tests.victims.running import wait_until

pytestmark = pytest.mark.native
HOLD = (victim(), "hold", "size=1M")
OVER = Event(Happening.SOFT_CROSSED, Reading(BEGAN + 5, 66 * MIB, 65 * MIB))

Starts = Callable[..., tuple[Run, GuardedRun]]


@pytest.fixture
def begin() -> Iterator[Starts]:
    """Start runs; nobody of them is left at the end."""
    runs: list[Run] = []

    def start(*argv: str, **how: Any) -> tuple[Run, GuardedRun]:
        runs.append(Run(*(argv or HOLD), **how).start())
        return runs[-1], GuardedRun(runs[-1].guardian, runs[-1].now)

    yield start
    for run in runs:
        run.end()


def test_a_stop_is_the_two_steps_with_the_askers_name(begin: Starts) -> None:
    """Verdict `stopped`, the command's own status, and who asked."""
    run, guarded = begin()
    answer = guarded.request(Stop(), "uid 1000", run.now)
    assert answer == Reply("stopping run: sent SIGTERM, 3s to finish")
    assert run.orders() == ["lift", "ask 15"]
    assert guarded.request(Stop(), "uid 0", run.now) == Reply("run is being stopped already")
    run.ends()
    assert run.outcome.verdict is Verdict.STOPPED
    assert run.outcome.exit_status == 143
    assert run.outcome.asked_by == "uid 1000"
    assert guarded.request(Stop(), "uid 0", run.now) == Reply("the run is over", ok=False)


def test_a_kill_does_not_ask_the_command(begin: Starts) -> None:
    """Verdict `killed`, by whom, at once."""
    run, guarded = begin()
    assert guarded.request(Kill(), "uid 7", run.now) == Reply("killing run")
    assert run.orders() == ["kill"]
    run.empties()
    assert run.outcome.verdict is Verdict.KILLED
    assert (run.outcome.exit_status, run.outcome.asked_by) == (137, "uid 7")
    assert guarded.actions().counts["sigkill"] == 1


def test_a_new_limit_is_handed_to_the_enclosure(begin: Starts) -> None:
    """And the memory is judged by it at once; the outcome tells the new one."""
    run, guarded = begin()
    assert guarded.request(SetLimit(32 * MIB), "uid 0", run.now) == Reply("limit 32M")
    assert run.orders() == [f"limits {32 * MIB} {96 * MIB}"]
    assert run.guardian.deadline() == run.now
    assert guarded.status(run.now).limits.soft == 32 * MIB
    assert run.story() == ["0 limit changed: limit 32M, by uid 0"]


def test_a_limit_above_the_wall_raises_the_wall(begin: Starts) -> None:
    """And says so."""
    run, guarded = begin()
    answer = guarded.request(SetLimit(100 * MIB), "uid 0", run.now)
    assert answer == Reply("limit 100M, hard limit raised to 164M")
    assert run.orders() == [f"limits {100 * MIB} {164 * MIB}"]


def test_a_limit_too_small_for_anything_is_refused(begin: Starts) -> None:
    """Nothing is changed."""
    run, guarded = begin()
    answer = guarded.request(SetLimit(1000), "uid 0", run.now)
    assert answer == Reply("1000 bytes is too small for any program: use 1M or more", ok=False)
    assert run.orders() == []


def test_a_limit_that_the_kernel_refuses_changes_nothing(begin: Starts) -> None:
    """The answer is the kernel's word; the old limit holds."""
    run, guarded = begin()
    run.enclosure.refuse("set_limits")
    answer = guarded.request(SetLimit(32 * MIB), "uid 0", run.now)
    assert not answer.ok
    assert "/fake/set_limits" in answer.text
    assert guarded.status(run.now).limits.soft == 64 * MIB


def test_a_raised_limit_ends_the_patience(begin: Starts) -> None:
    """Pressed under `--for`: whether the new limit is crossed is for the next look to say."""
    run, guarded = begin(script=[(5, OVER)], patience=60.0)
    run.advance(5)
    assert guarded.status(run.now).state == "pressed"
    guarded.request(SetLimit(80 * MIB), "uid 0", run.now)
    assert guarded.status(run.now).state == "watching"
    assert run.orders() == ["lift", f"limits {80 * MIB} {96 * MIB}", "arm"]
    run.advance(100)
    assert guarded.status(run.now).state == "watching"


def test_a_new_grace_is_the_one_that_runs(begin: Starts) -> None:
    """The kill comes when the new grace is over."""
    run, guarded = begin(victim(), "hold", "size=1M", "term=ignore")
    assert guarded.request(SetGrace(20.0), "uid 0", run.now) == Reply("grace 20s")
    assert guarded.request(Stop(), "uid 0", run.now).text.endswith("20s to finish")
    run.advance(19)
    assert guarded.status(run.now).state == "terminating"
    run.advance(1)
    assert guarded.status(run.now).state == "killing"


@pytest.mark.parametrize("request_", [SetLimit(80 * MIB), SetGrace(9.0), Freeze(), Reclaim()])
def test_nothing_is_changed_during_a_stop(begin: Starts, request_: Any) -> None:
    """`error: already stopping`."""
    run, guarded = begin(victim(), "hold", "size=1M", "term=ignore")
    guarded.request(Stop(), "uid 0", run.now)
    assert guarded.request(request_, "uid 0", run.now) == Reply("already stopping", ok=False)


def test_a_frozen_run_is_thawed_before_it_is_asked(begin: Starts) -> None:
    """It stands still until then, and growth is not judged."""
    run, guarded = begin()
    assert guarded.request(Freeze(), "uid 0", run.now) == Reply("frozen run")
    wait_until("stopped", lambda: state(run.main.pid) == "T")
    assert guarded.status(run.now).frozen
    assert guarded.request(Freeze(), "uid 0", run.now) == Reply("run is frozen already")
    guarded.request(Stop(), "uid 0", run.now)
    assert run.orders() == ["freeze", "lift", "thaw", "ask 15"]
    run.ends()
    assert run.outcome.verdict is Verdict.STOPPED
    counts = guarded.actions().counts
    assert (counts["freeze"], counts["thaw"], counts["sigterm"]) == (1, 1, 1)
    assert [said for said in run.story() if said in ("0 frozen", "0 thawed")] == [
        "0 frozen",
        "0 thawed",
    ]


def test_a_timeout_runs_on_while_frozen(begin: Starts) -> None:
    """And its stop thaws."""
    run, guarded = begin(timeout=30.0)
    guarded.request(Freeze(), "uid 0", run.now)
    run.advance(30)
    run.ends()
    assert run.outcome.verdict is Verdict.TIMEOUT


def test_a_frozen_run_is_thawed_by_a_signal_that_is_to_end_it(begin: Starts) -> None:
    """Sent to Sentinel and passed on: nobody who is halted could take it."""
    run, guarded = begin()
    guarded.request(Freeze(), "uid 0", run.now)
    run.take(10)
    assert guarded.status(run.now).frozen
    run.take(15)
    assert not guarded.status(run.now).frozen
    run.ends()
    assert run.outcome.verdict is Verdict.SIGNALLED


def test_the_continuing_of_sentinel_does_not_thaw(begin: Starts) -> None:
    """SIGCONT after a stop of Sentinel's own is not what a frozen run waits for."""
    run, guarded = begin()
    guarded.request(Freeze(), "uid 0", run.now)
    wait_until("stopped", lambda: state(run.main.pid) == "T")
    run.reaped()
    run.guardian.go_on()
    assert state(run.main.pid) == "T"
    assert guarded.request(Thaw(), "uid 0", run.now) == Reply("thawed run")
    wait_until("going on", lambda: state(run.main.pid) != "T")
    assert guarded.request(Thaw(), "uid 0", run.now) == Reply("run is not frozen")


def test_reclaim_begins_and_is_looked_after(begin: Starts) -> None:
    """The end of it is news of a later look."""
    run, guarded = begin()
    assert guarded.request(Reclaim(8 * MIB), "uid 0", run.now) == Reply("reclaiming 8M of run")
    assert run.orders() == [f"reclaim {8 * MIB}"]
    assert run.guardian.deadline() == run.now


def test_the_status_tells_what_is_known(begin: Starts) -> None:
    """Name, state, memory, peaks, limits; growth after a second."""
    run, guarded = begin()
    run.enclosure.memory = Reading(0.0, 20 * MIB, 10 * MIB)
    run.enclosure.counted = Tally(30 * MIB, 12 * MIB, 7, 6)
    run.now += 0.5
    early = guarded.status(run.now)
    assert (early.growth, early.time_to_limit) == (None, None)
    run.now += 1.5
    status = guarded.status(run.now)
    assert (status.name, status.state, status.verdict) == ("run", "watching", "")
    assert (status.pid, status.backend) == (run.main.pid, "fake")
    assert status.command == os.path.basename(victim())
    assert status.elapsed == 2.0
    assert status.growth == 5 * MIB
    assert status.time_to_limit == (64 - 10) / 5
    assert status.tally == Tally(30 * MIB, 12 * MIB, 7, 6)


@pytest.mark.parametrize(
    ("count", "growth"), [(Count.WORKINGSET, 5), (Count.ANON, 4), (Count.TOTAL, 10)]
)
def test_the_growth_is_that_of_what_counts(begin: Starts, count: Count, growth: int) -> None:
    """And so is the time to the limit: page cache fills a limit of all memory."""
    run, guarded = begin()
    limits = run.guardian.spec.limits._replace(counted=count)
    run.guardian.change(run.guardian.spec._replace(limits=limits), run.now)
    run.enclosure.memory = Reading(0.0, 20 * MIB, 10 * MIB, 8 * MIB)
    run.now += 2
    status = guarded.status(run.now)
    assert status.growth == growth * MIB
    assert status.time_to_limit == (64 - 2 * growth) / growth


def test_the_start_is_the_commands_however_late_it_is_asked_for(
    begin: Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody who observes is there from the beginning."""
    run, _ = begin()
    run.advance(7.5)
    monkeypatch.setattr("sentinel.guard.run.wall", lambda: 1_700_000_010.0)
    status = GuardedRun(run.guardian, run.now).status(run.now)
    assert (status.started, status.elapsed) == (1_700_000_002.5, 7.5)


def test_the_last_moment_can_be_told_with_the_status(begin: Starts) -> None:
    """When `over` is told the enclosure is closed, and is asked nothing more."""
    run, guarded = begin("true")
    told: list[tuple[Tally, tuple[int, ...]]] = []

    def hear(moment: Moment) -> None:
        if moment.what == "over":
            told.append((guarded.status(run.now).tally, guarded.members()))

    run.hear = hear
    run.ends()
    assert told == [(Tally(None, None, 0, 0), ())]


def test_growth_needs_a_second_and_survives_impatience() -> None:
    """Queries in quick succession are told the growth since one that is long enough ago."""
    growth = Growth(0.0)
    assert growth.ask(0.9, 10) is None
    assert growth.ask(1.0, 10) == 10.0
    assert growth.ask(1.5, 30) == 20.0
    assert growth.ask(3.0, 30) == 10.0
    assert growth.ask(3.5, 10) == 0.0


def state(pid: int) -> str:
    """One letter of /proc/PID/stat."""
    stat = process_stat(pid)
    return "gone" if stat is None else stat.state

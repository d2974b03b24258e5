"""The laws of an enclosure (sentinel/enclosure.py), of whichever kind, with real processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from sentinel.enclosure import Enclosure
from sentinel.linux.process import signal_process
from sentinel.model.outcome import Exited, Signalled
from tests.contract.kinds import ENCLOSURES
from tests.contract.stage import PATIENCE_SECONDS, Heard, Stage
from tests.victims.build import victim

REAL = [ENCLOSURES["rss"], ENCLOSURES["observer"], ENCLOSURES["cgroup"]]
APART = [ENCLOSURES["fake"], ENCLOSURES["cgroup"]]
TERM, KILL, USR1 = signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1
POLITELY = [Heard("TERM", 1), Heard("CONT", 1)]


def hold(stage: Stage) -> int:
    """A run of one process that waits; its pid."""
    main = stage.start(victim(), "hold", "size=1M")
    stage.ready()
    return main.pid


def test_the_command_is_born_inside(stage: Stage) -> None:
    """From its first moment on it is a member, and the only one."""
    main = stage.start(victim(), "hold", "size=1M")
    assert not stage.enclosure.is_empty()
    assert stage.living() == {main.pid}


def test_its_whole_family_is_inside(stage: Stage) -> None:
    """Children, and theirs."""
    stage.script("(sleep 60 & sleep 60 & wait) & sleep 60 & wait")
    stage.until("five more", lambda: len(stage.living()) == 5)
    assert stage.main is not None
    assert stage.main.pid in stage.living()


def test_survivors_are_told_by_name_and_state(stage: Stage) -> None:
    """For the report on what could not be killed."""
    pid = hold(stage)
    os.kill(pid, signal.SIGSTOP)
    stage.until("the stop", lambda: stage.state(pid) == "T")
    (survivor,) = stage.enclosure.survivors()
    assert (survivor.pid, survivor.name[:6], survivor.state) == (pid, "victim", "T")


def test_a_daemon_stays_inside(stage: Stage) -> None:
    """Double fork, a session of its own, its parents gone: still a member, still killed."""
    stage.start(victim(), "daemon", "pidfile=" + str(stage.folder / "pid"), "then=exit")
    stage.until("the main process's end", lambda: stage.main and stage.main.status)
    stage.until("the daemon", (stage.folder / "pid").exists)
    daemon = int((stage.folder / "pid").read_text())
    assert not stage.enclosure.is_empty()
    assert stage.living() == {daemon}
    stage.emptied()
    assert not signal_process(daemon, 0)


def test_a_command_that_ends_leaves_it_empty(stage: Stage) -> None:
    """Nothing to ask, nothing to kill, nobody left."""
    stage.start("true")
    stage.until("its end", lambda: stage.main and stage.main.status == Exited(0))
    assert stage.enclosure.is_empty()
    assert stage.living() == set()
    ledger = stage.close()
    assert (ledger.left_behind, ledger.unremoved) == ((), "")


def test_zombies_do_not_count(stage: Stage) -> None:
    """It is empty from the last death on, not from the last wait(2)."""
    main = stage.start("sh", "-c", "exit 3")
    limit = stage.loop.now() + PATIENCE_SECONDS
    while stage.state(main.pid) != "Z":
        assert stage.loop.now() < limit
    assert stage.enclosure.is_empty()
    assert stage.living() == set()
    stage.reap()
    assert main.status == Exited(3)


FAMILY = """
$V signals >a 2>&1 &
$V signals >b 2>&1 &
exec $V signals
"""


def test_everybody_is_asked_once(stage: Stage) -> None:
    """The signal and then CONT, which only counts what reached a process; never a second time."""
    stage.script(FAMILY)
    stage.ready("out", "a", "b")
    assert stage.enclosure.ask(TERM, main_only=False) == 3
    stage.recorded("out", "a", "b")
    assert stage.enclosure.ask(TERM, main_only=False) == 0
    assert stage.enclosure.ask(USR1, main_only=False) == 0
    stage.turn(0.2)
    for name in ("out", "a", "b"):
        assert stage.heard(name) == POLITELY


def test_the_main_process_is_asked_first(stage: Stage) -> None:
    """When it gets the signal nobody else has it yet: it may know best how to end its children."""
    stage.script(FAMILY)
    stage.ready("out", "a", "b")
    assert stage.main is not None
    others = stage.living() - {stage.main.pid}
    assert len(others) == 2
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    stage.until("the stops", lambda: {stage.state(pid) for pid in others} == {"T"})
    first: list[bool] = []
    really_send = stage.main.send

    def send(number: int) -> bool:
        first.append(not any(TERM in pending(pid) for pid in others))
        return really_send(number)

    stage.main.send = send  # type: ignore[method-assign]
    assert stage.enclosure.ask(TERM, main_only=False) == 3
    if first:  # a backend may signal the main process in another way
        assert first[0]
    stage.recorded("out", "a", "b")


def pending(pid: int) -> set[int]:
    """Signals that wait for process `pid`."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        (word,) = (line.split()[1] for line in file if line.startswith("ShdPnd:"))
    return {number for number in range(1, 65) if int(word, 16) >> (number - 1) & 1}


def test_the_main_process_alone_may_be_asked(stage: Stage) -> None:
    """The others are asked later, when that is wanted, and the main process not again."""
    stage.script(FAMILY)
    stage.ready("out", "a", "b")
    assert stage.enclosure.ask(TERM, main_only=True) == 1
    stage.recorded("out")
    assert (stage.heard("a"), stage.heard("b")) == ([], [])
    assert stage.enclosure.ask(TERM, main_only=True) == 0
    assert stage.enclosure.ask(TERM, main_only=False) == 2
    stage.recorded("a", "b")
    stage.turn(0.2)
    assert [stage.heard(name) for name in ("out", "a", "b")] == [POLITELY] * 3


def test_who_joins_later_is_asked_the_next_time(stage: Stage) -> None:
    """A process that was forked after the first asking gets its one signal, too."""
    stage.script(
        "trap '$V signals >late 2>&1 & wait' TERM\n"
        "echo ready >up\n"
        "while :; do sleep 60 & wait; done"
    )
    stage.until("the shell", (stage.folder / "up").exists)
    stage.enclosure.ask(TERM, main_only=True)
    stage.ready("late")
    assert stage.heard("late") == []
    stage.enclosure.ask(TERM, main_only=False)
    stage.until("its signal", lambda: stage.heard("late") == POLITELY)
    assert stage.enclosure.ask(TERM, main_only=False) == 0


def test_a_stopped_main_process_is_woken_to_be_asked(stage: Stage) -> None:
    """Without CONT the polite signal would wait for ever."""
    pid = hold(stage)
    os.kill(pid, signal.SIGSTOP)
    stage.until("the stop", lambda: stage.state(pid) == "T")
    assert stage.enclosure.ask(TERM, main_only=True) == 1
    stage.until("its end", lambda: stage.main and stage.main.status == Signalled(TERM))


CROWDS = {
    "one": ("hold", "size=1M"),
    "stopped": ("stopped", "count=3"),
    "stubborn": ("stubborn", "count=3", "term=ignore"),
    "forks": ("forks", "count=60"),
    "daemon": ("daemon", "stubborn=1", "then=hold"),
}


@pytest.mark.parametrize("name", CROWDS)
def test_killing_empties(stage: Stage, name: str) -> None:
    """Stopped, deaf, many, ever new or detached: repeated as the policy does, nobody survives."""
    stage.start(victim(), *CROWDS[name])
    stage.ready()
    inside = stage.living()
    assert inside
    assert stage.enclosure.kill() >= 1
    stage.emptied()
    assert stage.main is not None
    assert stage.main.status == Signalled(KILL)
    assert stage.living() == set()
    assert not [pid for pid in inside if stage.state(pid) not in {"", "Z"}]


@pytest.mark.parametrize("make", REAL, indirect=True)
def test_killing_ends_a_churn(stage: Stage) -> None:
    """No pid lives longer than it takes to list it: the real backends outrun even that."""
    stage.start(victim(), "churn", "width=3")
    stage.ready()
    stage.enclosure.kill()
    stage.emptied()
    assert stage.living() == set()


def test_a_kill_says_how_many_there_were(stage: Stage) -> None:
    """For the report: three children and the main process."""
    stage.start(victim(), "stubborn", "count=3", "term=ignore")
    stage.ready()
    assert stage.enclosure.kill() == 4
    stage.emptied()


def test_nothing_of_it_raises_when_everybody_is_gone(stage: Stage) -> None:
    """Between the last death and the close, and twice, whatever the guard still orders."""
    hold(stage)
    stage.emptied()
    for _ in range(2):
        stage.enclosure.set_wire(armed=False, now=stage.loop.now())
        assert stage.enclosure.ask(TERM, main_only=True) == 0
        assert stage.enclosure.ask(TERM, main_only=False) == 0
        assert stage.enclosure.kill() == 0
        assert stage.enclosure.survivors() == ()
        assert stage.enclosure.is_empty()
        assert stage.enclosure.look(stage.loop.now()).events == ()
        stage.enclosure.set_wire(armed=True, now=stage.loop.now())


def test_nor_before_anybody_has_reaped_them(stage: Stage) -> None:
    """Killed and not waited for: numbers that still are, processes that are no more."""
    main = stage.start(victim(), "stopped", "count=2")
    stage.ready()
    stage.enclosure.kill()
    limit = stage.loop.now() + PATIENCE_SECONDS
    while not stage.enclosure.is_empty():
        assert stage.loop.now() < limit
    assert stage.state(main.pid) == "Z"
    stage.enclosure.ask(TERM, main_only=False)
    assert stage.enclosure.kill() == 0
    assert stage.enclosure.survivors() == ()
    stage.reap()


def test_an_idle_run_is_no_news(stage: Stage) -> None:
    """And the next look, if one is needed at all, lies in the future."""
    hold(stage)
    stage.turn(0.1)
    now = stage.loop.now()
    look = stage.enclosure.look(now)
    assert look.events == ()
    assert look.again is None or look.again >= now
    assert stage.events == []


def test_the_wire_does_not_touch_the_run(stage: Stage) -> None:
    """Lifted and armed while it is far from its limit."""
    pid = hold(stage)
    for armed in (False, True, True, False):
        stage.enclosure.set_wire(armed=armed, now=stage.loop.now())
    assert stage.state(pid) in {"S", "R"}


def test_closing_releases_everything(
    make: Callable[[], Enclosure], stage: Stage, descriptors: Callable[[], set[int]]
) -> None:
    """Every descriptor that was opened for a run is closed after it."""
    before = descriptors()
    second = make()
    for _ in range(2):
        second.close()
        assert descriptors() == before
        second = make()
    second.close()
    hold(stage)
    stage.emptied()
    stage.close()
    assert descriptors() <= before


def test_who_is_left_is_named_at_the_end(stage: Stage) -> None:
    """Closing gives up on them: the ledger says who they were."""
    pid = hold(stage)
    ledger = stage.close()
    assert [survivor.pid for survivor in ledger.left_behind] == [pid]
    os.kill(pid, KILL)
    limit = stage.loop.now() + PATIENCE_SECONDS
    while stage.state(pid) != "Z":
        assert stage.loop.now() < limit
    if ledger.unremoved:
        os.rmdir(stage.enclosure.where)


@pytest.mark.parametrize("make", APART, indirect=True)
def test_two_at_once_do_not_meet(make: Callable[[], Enclosure], stage: Stage) -> None:
    """What happens to one run does not touch another; under rss a process guards one family."""
    pid = hold(stage)
    other = Stage(make(), stage.folder / "other")
    other.folder.mkdir()
    second = other.start(victim(), "hold", "size=1M")
    other.ready()
    assert (stage.living(), other.living()) == ({pid}, {second.pid})
    other.emptied()
    other.end()
    assert stage.living() == {pid}
    assert stage.state(pid) in {"S", "R"}

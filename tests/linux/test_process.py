"""Processes by what the kernel says of them, however they call themselves; reaping; asking."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from sentinel.linux.process import (
    Child,
    ChildReport,
    ProcessStat,
    ask_member,
    kill_process,
    parse_stat,
    process_stat,
    reap,
    signal_process,
)
from sentinel.model.outcome import Exited, Signalled
from tests.victims.running import wait_until

REST = b"S 7 100 100 34816 100 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 9 10 11"
HOSTILE = [
    (b"plain", "plain"),
    (b"foo) Z (", "foo) Z ("),
    (b") R 1 1 1", ") R 1 1 1"),
    (b"((", "(("),
    (b"", ""),
    (b" ", " "),
    (b"a\nb", "a\nb"),
    (b"\xff\xfe", "\\xff\\xfe"),
    ("späße".encode(), "späße"),
    (b"[bold]%s{0}", "[bold]%s{0}"),
]


@pytest.mark.parametrize(("name", "shown"), HOSTILE)
def test_the_stat_line_of_a_hostile_name(name: bytes, shown: str) -> None:
    """Whatever a process calls itself, state, parent and start time are its own."""
    line = b"42 (" + name + b") " + REST + b"\n"
    assert parse_stat(line) == ProcessStat(42, shown, "S", 7, 123456)


def fork(work: Callable[[], object]) -> int:
    """A child that does `work` and exits 0."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def sleep() -> None:
    """Wait to be killed."""
    while True:
        signal.pause()


@contextmanager
def child(work: Callable[[], object] = sleep) -> Iterator[int]:
    """A child that is killed and reaped at the end, if the test has not done it."""
    pid = fork(work)
    try:
        yield pid
    finally:
        if signal_process(pid, signal.SIGKILL):
            os.waitpid(pid, 0)


def state(pid: int) -> str | None:
    """The state of `pid`; None when it is gone."""
    stat = process_stat(pid)
    return None if stat is None else stat.state


@pytest.mark.parametrize(("name", "shown"), HOSTILE)
def test_a_living_process_with_a_hostile_name(name: bytes, shown: str) -> None:
    """The kernel itself writes such lines."""

    def rename() -> None:
        with open("/proc/self/comm", "wb", buffering=0) as file:
            file.write(name or b"\0")
        sleep()

    with child(rename) as pid:
        wait_until("the name", lambda: (process_stat(pid) or parse_stat(b"")).name == shown)
        wait_until("its sleep", lambda: state(pid) == "S")
        stat = process_stat(pid)
        assert stat is not None
        assert (stat.pid, stat.parent) == (pid, os.getpid())
        own = process_stat(os.getpid())
        assert own is not None
        assert stat.start >= own.start


def test_a_zombie_is_seen_and_what_is_reaped_is_not() -> None:
    """Z until somebody waits for it, then no such process."""
    with child(lambda: None) as pid:
        wait_until("its end", lambda: state(pid) == "Z")
        os.waitpid(pid, 0)
        assert process_stat(pid) is None
        assert not signal_process(pid, 0)
        assert not kill_process(pid)


def test_signalling_a_living_process() -> None:
    """True when it was delivered."""
    with child() as pid:
        assert signal_process(pid, 0)
        assert kill_process(pid)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL


def test_a_member_is_asked_and_woken() -> None:
    """A stopped member gets the signal and the CONT without which it could not handle it."""
    with child() as pid:
        os.kill(pid, signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)
        assert ask_member(pid, signal.SIGTERM, lambda number: number == pid)
        assert os.waitpid(pid, 0)[1] == signal.SIGTERM


def test_who_is_no_member_any_more_is_left_alone() -> None:
    """The question comes after the process is held, so that the answer is about it."""
    with child() as pid:
        assert not ask_member(pid, signal.SIGKILL, lambda _: False)
        assert state(pid) in {"S", "R"}


def test_a_member_that_vanishes_during_the_question_is_no_error() -> None:
    """It ended between the listing and the signal."""
    with child() as pid:

        def vanish(number: int) -> bool:
            os.kill(number, signal.SIGKILL)
            os.waitpid(number, 0)
            return True

        assert not ask_member(pid, signal.SIGTERM, vanish)


@pytest.mark.parametrize("pid", [0, -1, 1 << 30])
def test_what_is_no_process_is_not_asked(pid: int) -> None:
    """0 is how a pid namespace writes a stranger; neither it nor -1 may mean everybody."""
    assert not ask_member(pid, 0, lambda _: True)


def test_a_child_that_was_reaped_is_inert() -> None:
    """Its number may be somebody else's by now: nothing is sent any more."""
    with child() as pid:
        held = Child(pid)
        assert held.send(0)
        held.status = Exited(0)
        assert not held.send(signal.SIGKILL)
        assert not held.go_on()
        assert state(pid) in {"S", "R"}


def test_go_on_continues_only_what_is_stopped() -> None:
    """A CONT to a running program could start a handler of its own: it is not sent."""

    def watch() -> None:
        signal.signal(signal.SIGCONT, lambda *_: os._exit(9))
        sleep()

    with child(watch) as pid:
        wait_until("its sleep", lambda: state(pid) == "S")
        held = Child(pid)
        assert not held.go_on()
        assert state(pid) == "S"
        os.kill(pid, signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)
        assert held.go_on()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


def collect(*pids: int) -> list[ChildReport]:
    """Reap until every one of `pids` has been heard of; in the order of `pids`."""
    found: dict[int, ChildReport] = {}

    def all_there() -> bool:
        found.update({report.pid: report for report in reap()})
        return set(pids) <= set(found)

    wait_until("the reports", all_there)
    return [found[pid] for pid in pids]


def test_ends_of_every_kind_are_told_apart() -> None:
    """Exit codes, signals, and signals with a core file."""

    def dump() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.raise_signal(signal.SIGQUIT)

    codes = [fork(partial(os._exit, code)) for code in (0, 1, 124, 255)]
    killed = fork(lambda: signal.raise_signal(signal.SIGKILL))
    dumped = fork(dump)
    assert collect(*codes, killed, dumped) == [
        *(
            ChildReport(pid, Exited(code))
            for pid, code in zip(codes, (0, 1, 124, 255), strict=True)
        ),
        ChildReport(killed, Signalled(9)),
        ChildReport(dumped, Signalled(3)),
    ]


def test_stops_are_told_with_their_signal() -> None:
    """And the process stays a child that can be continued, stopped again, and reaped."""
    with child() as pid:
        os.setpgid(pid, pid)  # in an orphaned group a terminal's stops have no effect
        for number in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN):
            os.kill(pid, number)
            assert collect(pid) == [ChildReport(pid, stopped_by=number)]
            os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGKILL)
        assert collect(pid) == [ChildReport(pid, Signalled(9))]


def test_without_children_there_is_nothing_to_reap() -> None:
    """ECHILD is an answer."""
    assert reap() == []


def test_orphans_of_a_subreaper_are_reaped() -> None:
    """A double-forked daemon falls to the subreaper, which learns its end."""
    program = (
        "import os, time\n"
        "from sentinel.linux.libc import become_subreaper\n"
        "from sentinel.linux.process import reap\n"
        "become_subreaper()\n"
        "middle = os.fork()\n"
        "if middle == 0:\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        os.kill(os.getpid(), 9)\n"
        "    os._exit(3)\n"
        "found = []\n"
        "while len(found) < 2:\n"
        "    found += [str(report.status) for report in reap()]\n"
        "print(sorted(found))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "['Exited(code=3)', 'Signalled(signal=9)']\n"

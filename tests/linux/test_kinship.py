"""Signals by identity, and whether there are children at all."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest

from sentinel.linux.kinship import (
    Delivery,
    Identity,
    ask_identity,
    kill_identity,
    open_identity,
    signal_identity,
)
from sentinel.linux.process import process_stat
from tests.victims.running import Victim, running, wait_until

SLEEPER = [sys.executable, "-c", "print('ready', flush=True); import time; time.sleep(60)"]
NOBODY = 65534


def identity(victim: Victim) -> Identity:
    """Who `victim` is."""
    stat = process_stat(victim.pid)
    assert stat is not None
    return Identity(victim.pid, stat.start)


def without_pidfds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a kernel, or a seccomp filter, without pidfd_open."""

    def refuse(pid: int) -> int:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), pid)

    monkeypatch.setattr(os, "pidfd_open", refuse)


@pytest.fixture(params=["pidfd", "pid"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test with pidfds and without."""
    if request.param == "pid":
        without_pidfds(monkeypatch)


@pytest.mark.usefixtures("either_way")
def test_kills_the_one_meant() -> None:
    """SIGKILL arrives at the process with that pid and start."""
    with running(SLEEPER) as victim:
        assert kill_identity(identity(victim)) is Delivery.DELIVERED
        assert victim.wait_end() == -signal.SIGKILL


@pytest.mark.usefixtures("either_way")
def test_spares_a_namesake() -> None:
    """A process that has the number but not the start is not signalled."""
    with running(SLEEPER) as victim:
        pid, start = identity(victim)
        assert kill_identity(Identity(pid, start - 1)) is Delivery.GONE
        assert ask_identity(Identity(pid, start + 1), signal.SIGKILL) is Delivery.GONE
        assert signal_identity(identity(victim), 0) is Delivery.DELIVERED
        assert victim.process.poll() is None


@pytest.mark.usefixtures("either_way")
def test_gone() -> None:
    """A process that was reaped is gone."""
    with running(SLEEPER) as victim:
        who = identity(victim)
        victim.process.kill()
        victim.process.wait()
        assert kill_identity(who) is Delivery.GONE
        assert open_identity(who) is None


@pytest.mark.usefixtures("either_way")
def test_asking_continues_the_stopped() -> None:
    """A stopped process gets CONT after the polite signal, so that it can end."""
    with running(SLEEPER) as victim:
        victim.wait_start("ready")
        os.kill(victim.pid, signal.SIGSTOP)
        wait_until("the stop", lambda: state(victim.pid) == "T")
        assert ask_identity(identity(victim), signal.SIGTERM) is Delivery.DELIVERED
        assert victim.wait_end() == -signal.SIGTERM


def state(pid: int) -> str:
    """The state letter of `pid`."""
    stat = process_stat(pid)
    return "" if stat is None else stat.state


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_refused() -> None:
    """Another user's process is not ours to signal, which is not the same as gone."""
    with running(SLEEPER) as victim:
        who = identity(victim)
        pid = os.fork()
        if pid == 0:
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os._exit(0 if kill_identity(who) is Delivery.REFUSED else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert victim.process.poll() is None


def test_open_identity() -> None:
    """A pidfd is readable once its process has ended; a namesake's is not handed out."""
    with running(SLEEPER) as victim:
        pid, start = identity(victim)
        assert open_identity(Identity(pid, start + 1)) is None
        fd = open_identity(Identity(pid, start))
        assert fd is not None
        try:
            assert not os.get_inheritable(fd)
            victim.process.kill()
            assert os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOWAIT) is not None
        finally:
            os.close(fd)


def test_no_descriptor_is_left() -> None:
    """Signals leave no descriptor open, whatever becomes of them."""
    with running(SLEEPER) as victim:
        who = identity(victim)
        before = os.listdir("/proc/self/fd")
        signal_identity(who, 0)
        signal_identity(Identity(who.pid, 1), 0)
        open_identity(Identity(who.pid, 1))
        assert len(os.listdir("/proc/self/fd")) == len(before)


def test_has_children() -> None:
    """A process has children as long as one lives or is not reaped."""
    program = """
import os, sys
from sentinel.linux.kinship import has_children
told = [has_children()]
pid = os.fork()
if pid == 0:
    os._exit(0)
told.append(has_children())
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
told.append(has_children())
os.waitpid(pid, 0)
told.append(has_children())
print(told)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[False, True, True, False]\n"

"""Forks as the kernel tells them, where it does; and pyroute2's message classes alone."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time

import pytest

from sentinel.linux import procevents
from sentinel.linux.procevents import FeedLost, ForkFeed, permitted
from tests.victims.running import wait_until


def told_here() -> bool:
    """Whether this kernel has fork events for this user: CONFIG_PROC_EVENTS, no container."""
    if not permitted():
        return False
    try:
        ForkFeed(0.0).close()
    except FeedLost:
        return False
    return True


here_only = pytest.mark.skipif(not told_here(), reason="no fork events for us here")


def test_nobody_is_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only root is told of forks."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not permitted()


def test_layout_is_the_kernels() -> None:
    """What pyroute2's classes say fits struct proc_event (linux/cn_proc.h)."""
    layout = procevents.load_layout(filtered=False)
    assert layout.message.size == 16 + 20 + 16 + 16  # nlmsghdr, cn_msg, proc_event, fork
    header = struct.pack("=IHHII", 76, 3, 0, 0, 0)
    connector = struct.pack("=IIIIHH", 1, 1, 0, 0, 40, 0)
    event = struct.pack("=IIQ", layout.fork_event, 0, 1) + struct.pack("=IIII", 11, 10, 21, 20)
    fields = layout.message.unpack(header + connector + event)
    assert fields[layout.what] == 1
    assert fields[layout.parent_tgid] == 10
    assert (fields[layout.child_pid], fields[layout.child_tgid]) == (21, 20)


@pytest.mark.parametrize(("filtered", "body"), [(False, (1,)), (True, (1, 1))])
def test_registration_is_the_kernels(filtered: bool, body: tuple[int, ...]) -> None:  # noqa: FBT001
    """The request is PROC_CN_MCAST_LISTEN to CN_IDX_PROC, with a filter for forks on Linux 6.6."""
    size = 4 * len(body)
    assert procevents.load_layout(filtered=filtered).registration == (
        struct.pack("=IHHII", 16 + 20 + size, 3, 0, 0, 0)
        + struct.pack("=IIIIHH", 1, 1, 0, 0, size, 0)
        + struct.pack(f"={len(body)}I", *body)
    )


@pytest.mark.parametrize(
    ("release", "filters"),
    [
        ("6.6.0", True),
        ("6.12.41+deb13-amd64", True),
        ("10.0.0", True),
        ("6.5.13", False),
        ("6.1.0-37-cloud", False),
        ("odd", False),
    ],
)
def test_which_kernels_filter(
    release: str,
    filters: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Filters are asked for from Linux 6.6 on."""
    fields = ("Linux", "host", release, "#1", "x86_64")
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(fields))
    assert procevents.kernel_filters() is filters


def test_import_leaves_no_trace() -> None:
    """The stand-ins for the rest of pyroute2 are gone afterwards, and the real one still loads."""
    program = """
import sys
from sentinel.linux import procevents
procevents.load_layout(filtered=True)
print([name for name in sys.modules if name.startswith(("pyroute2", "asyncio", "ssl"))])
import pyroute2
print(pyroute2.DiagSocket.__name__)
kept = sys.modules["pyroute2"]
procevents.load_layout(filtered=True)
print(sys.modules["pyroute2"] is kept)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\nDiagSocket\nTrue\n"


def test_another_pyroute2_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library whose classes are not what we know is no feed, and no traceback."""
    monkeypatch.setattr(procevents, "_import_message_classes", object)
    with pytest.raises(FeedLost, match="process events: this pyroute2 does not fit"):
        ForkFeed(0.0)


@here_only
def test_tells_forks() -> None:
    """A fork is told with parent and child; threads are not."""
    feed = ForkFeed(time.monotonic())
    told: list[tuple[int, int]] = []
    try:
        child = subprocess.Popen(
            [sys.executable, "-c", "import _thread; _thread.start_new(id, ())"]
        )
        child.wait()

        def heard() -> bool:
            told.extend(feed.drain(time.monotonic()))
            return (os.getpid(), child.pid) in told

        wait_until("the fork", heard)
        assert feed.answered
        assert [pair for pair in told if pair[0] == child.pid] == []
    finally:
        feed.close()


@here_only
def test_survives_a_burst() -> None:
    """All of 1 500 short processes are told, which pyroute2's own socket does not survive."""
    feed = ForkFeed(time.monotonic())
    try:
        shell = subprocess.Popen(["bash", "-c", "for i in {1..1500}; do (:); done"])
        assert shell.wait() == 0
        told = feed.drain(time.monotonic())
    finally:
        feed.close()
    assert len([parent for parent, _ in told if parent == shell.pid]) == 1500


@here_only
def test_too_many_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """More forks than can be followed end the feed instead of burning the CPU."""
    feed = ForkFeed(time.monotonic())
    monkeypatch.setattr(procevents, "MOST", 10)
    try:
        subprocess.run(["bash", "-c", "for i in {1..20}; do (:); done"], check=True)
        with pytest.raises(FeedLost, match="more than 10 at once"):
            feed.drain(time.monotonic())
    finally:
        feed.close()


@here_only
def test_overrun_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the kernel had to drop events, the feed says so: it must not be trusted any longer."""
    monkeypatch.setattr(procevents, "_BUFFER", 4096)
    feed = ForkFeed(time.monotonic())
    try:
        subprocess.run(["bash", "-c", "for i in {1..200}; do (:); done"], check=True)
        with pytest.raises(FeedLost, match="some were lost"):
            feed.drain(time.monotonic())
    finally:
        feed.close()


@here_only
def test_unanswered_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that should answer and does not within a second is given up."""
    monkeypatch.setattr(procevents, "kernel_filters", lambda: False)
    monkeypatch.setattr(procevents.ForkFeed, "_receive", lambda _: None)
    feed = ForkFeed(100.0)
    try:
        assert feed.drain(100.9) == []
        with pytest.raises(FeedLost, match="the kernel does not answer"):
            feed.drain(101.0)
    finally:
        feed.close()

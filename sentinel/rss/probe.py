"""Can a run be watched without a cgroup here, and how well? For `sentinel doctor`."""

from __future__ import annotations

import os

from sentinel.linux.clock import monotonic
from sentinel.linux.libc import become_subreaper
from sentinel.linux.procevents import FeedLost, ForkFeed, permitted
from sentinel.linux.runtime import open_runtime_directory
from sentinel.model.diagnosis import Check
from sentinel.model.errors import KernelFileError
from sentinel.rss.procfs import FOREIGN, OURS, Proc


def probe() -> tuple[Check, ...]:
    """Try everything that the backend rests on. Without the first check nothing works."""
    proc = Proc()
    return (
        _readings(proc),
        _proportional(proc),
        _children(proc),
        _subreaper(),
        _record(),
        _fork_events(),
    )


def _readings(proc: Proc) -> Check:
    own = os.getpid()
    if proc.is_foreign():
        return Check("/proc", works=False, detail=FOREIGN, remedy=OURS)
    if proc.statm(own) is not None and proc.stat(own) is not None:
        return Check("/proc", works=True, detail="memory of processes can be read")
    remedy = "mount it: mount -t proc proc /proc"
    return Check("/proc", works=False, detail=f"/proc/{own}/statm cannot be read", remedy=remedy)


def _proportional(proc: Proc) -> Check:
    rollup = proc.rollup(os.getpid())
    if rollup is not None and rollup.anon is not None:
        return Check("PSS", works=True, detail="shared memory is charged once")
    return Check(
        "PSS",
        works=False,
        detail="smaps_rollup tells no parts: what is shared, and what is file, is guessed",
        remedy="Linux 5.3 or newer, with CONFIG_PROC_PAGE_MONITOR",
    )


def _children(proc: Proc) -> Check:
    if proc.lists_children():
        return Check("children", works=True, detail="the family is found by walking down from us")
    return Check(
        "children",
        works=False,
        detail="the family is found by scanning all processes",
        remedy="a kernel with CONFIG_PROC_CHILDREN",
    )


def _subreaper() -> Check:
    try:
        become_subreaper()
    except OSError as error:
        detail = f"daemons escape: {os.strerror(error.errno or 0)}"
        remedy = "allow prctl(PR_SET_CHILD_SUBREAPER), Linux 3.4"
        return Check("subreaper", works=False, detail=detail, remedy=remedy)
    return Check("subreaper", works=True, detail="daemons of the run become our children")


def _record() -> Check:
    try:
        directory = open_runtime_directory()
    except KernelFileError as error:
        return Check("record", works=False, detail=error.message, remedy=error.remedy)
    directory.close()
    return Check("record", works=True, detail=f"runs are recorded in {directory.path}")


def _fork_events() -> Check:
    """An aid that few runs get: its absence costs nothing but some milliseconds of news."""
    if not permitted():
        return Check(
            "fork events",
            works=False,
            detail="not for this user or namespace: newcomers are found by looking",
            remedy="none needed; root outside of containers has them",
        )
    try:
        ForkFeed(monotonic()).close()
    except FeedLost as lost:
        remedy = "none needed; a kernel with CONFIG_PROC_EVENTS has them"
        return Check("fork events", works=False, detail=str(lost), remedy=remedy)
    return Check("fork events", works=True, detail="the kernel tells who is forked")

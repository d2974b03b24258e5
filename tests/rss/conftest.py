"""What the tests of the rss backend share."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sentinel.linux.libc import become_subreaper
from sentinel.rss.procfs import Proc
from tests.lab import ROOT
from tests.victims.running import wait_until

MEMORY_FILESYSTEMS = ("tmpfs", "ramfs")
_PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture
def subreaper() -> Iterator[None]:
    """Adopt orphans for the time of a test, at the end of which everybody must be dying."""
    become_subreaper()
    yield
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    try:
        wait_until("all children to end", reaped_all)
    finally:
        for pid in Proc().children(os.getpid()) or ():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A directory whose files are files, not shared memory."""
    places = (os.environ.get("SENTINEL_SCRATCH", ""), str(tmp_path), os.path.join(ROOT, ".lab"))
    for place in filter(os.path.isdir, places):
        told = subprocess.run(["stat", "-f", "-c", "%T", place], capture_output=True, check=True)
        if told.stdout.decode().strip() not in MEMORY_FILESYSTEMS:
            directory = Path(place) / f"rss-{os.getpid()}-{tmp_path.name}"
            directory.mkdir()
            return directory
    pytest.skip("no directory here is on a disk")


def reaped_all() -> bool:
    """Take in every child that has ended; whether there is none left."""
    try:
        while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG) is not None:
            pass
    except ChildProcessError:
        return True
    return False

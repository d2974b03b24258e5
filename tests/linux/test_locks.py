"""Liveness as a lock: held by the living, free the moment its holder is gone."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from sentinel.linux.locks import try_lock


def opened(path: Path) -> int:
    """A fresh open file of a directory."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    """A second opener is refused, of the same process as well, until the first one closes."""
    first, second = opened(tmp_path), opened(tmp_path)
    try:
        assert try_lock(first)
        assert not try_lock(second)
        assert try_lock(first)
        os.close(first)
        assert try_lock(second)
    finally:
        os.close(second)


def test_a_duplicate_keeps_the_lock(tmp_path: Path) -> None:
    """It ends with the last descriptor of the open file, not with the first."""
    first, second = opened(tmp_path), opened(tmp_path)
    try:
        assert try_lock(first)
        twin = os.dup(first)
        os.close(first)
        assert not try_lock(second)
        os.close(twin)
        assert try_lock(second)
    finally:
        os.close(second)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_death_of_its_holder_frees_it(tmp_path: Path, end: int) -> None:
    """No clean-up of ours is needed for the next one to see that it is free."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(tell, b"y" if try_lock(opened(tmp_path)) else b"n")
        while True:
            signal.pause()
    fd = opened(tmp_path)
    try:
        assert os.read(ready, 1) == b"y"
        assert not try_lock(fd)
        os.kill(pid, end)
        os.waitpid(pid, 0)
        assert try_lock(fd)
    finally:
        for number in (fd, ready, tell):
            os.close(number)


def test_a_command_that_was_executed_does_not_hold_it(tmp_path: Path) -> None:
    """The descriptor is close-on-exec: a run's own command cannot keep a dead guard alive."""
    fd = opened(tmp_path)
    assert try_lock(fd)
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(tell, 1)
        os.execvp("sh", ["sh", "-c", "echo; exec sleep 60"])
    os.close(tell)
    try:
        assert os.read(ready, 1) == b"\n"
        os.close(fd)
        fd = opened(tmp_path)
        assert try_lock(fd)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for number in (fd, ready):
            os.close(number)

"""A line to stderr is written at once, whole, or not at all; it never waits and never raises."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sentinel.commands.console import STDERR, say


@contextmanager
def stderr_is(fd: int | None) -> Iterator[None]:
    """Put `fd` in stderr's place for a while; None closes it."""
    saved = os.dup(STDERR)
    try:
        if fd is None:
            os.close(STDERR)
        else:
            os.dup2(fd, STDERR)
        yield
    finally:
        os.dup2(saved, STDERR)
        os.close(saved)


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe, reading end first; its ends may be closed by the test."""
    ends = os.pipe()
    yield ends
    for fd in ends:
        try:
            os.close(fd)
        except OSError:
            continue


def fill(writer: int) -> int:
    """Fill a pipe; how many bytes that took. The descriptor is blocking again afterwards."""
    os.set_blocking(writer, False)
    written = 0
    while True:
        try:
            written += os.write(writer, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(writer, True)
            return written


def drain(reader: int, count: int) -> None:
    """Read exactly `count` bytes."""
    while count:
        count -= len(os.read(reader, count))


def test_a_line_is_written_whole() -> None:
    """Prefix, text, newline."""
    with pipe() as (reader, writer), stderr_is(writer):
        say("one\ntwo")
        assert os.read(reader, 100) == b"sentinel: one\\ntwo\n"


@pytest.mark.parametrize("nowait", [True, False])
def test_a_full_pipe_drops_the_line(*, nowait: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads: the call returns, and the line is gone rather than late."""
    if not nowait:
        refuse_nowait(monkeypatch)
    with pipe() as (reader, writer):
        size = fill(writer)
        with stderr_is(writer):
            say("dropped")
            say("dropped", 1)
            drain(reader, size)
            say("arrives")
        assert os.read(reader, 100) == b"sentinel: arrives\n"


def refuse_nowait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that cannot be told not to wait."""

    def pwritev(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "pwritev", pwritev)


def test_a_pipe_that_fills_after_the_poll_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The guarded command writes to the same pipe: losing that race must not stop the guard."""
    asked = []

    def pwritev(fd: int, data: list[bytes], offset: int, flags: int) -> int:
        asked.append((fd, data, offset, flags))
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "pwritev", pwritev)
    with pipe() as (reader, writer), stderr_is(writer):
        say("dropped")
        os.set_blocking(reader, False)
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
    assert asked == [(STDERR, [b"sentinel: dropped\n"], -1, 8)]


def test_a_broken_pipe_is_no_trouble() -> None:
    """The reader has gone: the guard goes on."""
    with pipe() as (reader, writer), stderr_is(writer):
        os.close(reader)
        say("to nobody", 1)


def test_a_closed_stderr_is_no_trouble() -> None:
    """There is nowhere to say it."""
    with stderr_is(None):
        say("to nobody", 1)


def test_a_file_and_a_full_device_are_no_trouble(tmp_path: str) -> None:
    """A regular file takes lines in order; /dev/full takes none."""
    path = os.path.join(tmp_path, "log")
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    with stderr_is(file):
        say("one")
        say("two")
    assert os.pread(file, 100, 0) == b"sentinel: one\nsentinel: two\n"
    os.close(file)
    full = os.open("/dev/full", os.O_WRONLY)
    with stderr_is(full):
        say("lost")
    os.close(full)

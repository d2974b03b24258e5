"""One wait: what is ready, what is due, and no wake-up of its own."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from sentinel.linux.loop import Loop
from tests.victims.running import wait_until


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A loop that is closed at the end."""
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe's two ends."""
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


@pytest.fixture
def urgent() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets: out-of-band data makes POLLPRI, as a kernel file's news does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    with near, far:
        yield near, far


def test_what_is_readable_is_reported_by_its_token(loop: Loop, pipe: tuple[int, int]) -> None:
    """For as long as it is readable, and not before."""
    token = object()
    loop.watch(pipe[0], token)
    assert loop.wait(loop.now()) == set()
    os.write(pipe[1], b"x")
    assert loop.wait(None) == {token}
    assert loop.wait(None) == {token}
    os.read(pipe[0], 1)
    assert loop.wait(loop.now()) == set()


def test_priority_is_urgent_news_and_not_data(
    loop: Loop, urgent: tuple[socket.socket, socket.socket]
) -> None:
    """POLLPRI wakes; bytes that are merely readable do not."""
    near, far = urgent
    loop.watch(far.fileno(), "news", priority=True)
    near.send(b"data")
    assert loop.wait(loop.now() + 0.05) == set()
    near.send(b"!", socket.MSG_OOB)
    assert loop.wait(None) == {"news"}


def test_one_token_may_stand_for_several_descriptors(loop: Loop) -> None:
    """A backend is told once, whichever of its files has news."""
    pipes = [os.pipe() for _ in range(3)]
    for reading, writing in pipes:
        loop.watch(reading, "backend")
        os.write(writing, b"x")
    assert loop.wait(None) == {"backend"}
    for ends in pipes:
        for fd in ends:
            os.close(fd)


def test_what_is_forgotten_is_not_reported_until_it_is_watched_again(
    loop: Loop, pipe: tuple[int, int]
) -> None:
    """And what happened meanwhile is told then."""
    loop.watch(pipe[0], "pipe")
    loop.forget(pipe[0])
    os.write(pipe[1], b"x")
    assert loop.wait(loop.now()) == set()
    loop.watch(pipe[0], "pipe again")
    assert loop.wait(None) == {"pipe again"}


def test_forgetting_what_was_never_watched_is_fine(loop: Loop, pipe: tuple[int, int]) -> None:
    """So is forgetting twice."""
    loop.forget(pipe[0])
    loop.watch(pipe[0], "pipe")
    loop.forget(pipe[0])
    loop.forget(pipe[0])


def test_watching_again_replaces_token_and_kind(
    loop: Loop, urgent: tuple[socket.socket, socket.socket]
) -> None:
    """The last word counts."""
    near, far = urgent
    loop.watch(far.fileno(), "data")
    loop.watch(far.fileno(), "news", priority=True)
    near.send(b"data")
    assert loop.wait(loop.now() + 0.05) == set()
    loop.watch(far.fileno(), "data")
    assert loop.wait(None) == {"data"}


def test_a_number_that_was_closed_unforgotten_can_be_watched_again(
    loop: Loop, pipe: tuple[int, int]
) -> None:
    """The kernel drops a closed descriptor by itself; its number may soon be another file."""
    reading, writing = os.pipe()
    loop.watch(reading, "old")
    os.close(reading)
    os.dup2(pipe[0], reading)
    os.write(pipe[1], b"x")
    loop.watch(reading, "new")
    assert loop.wait(None) == {"new"}
    os.close(reading)
    loop.forget(reading)
    os.close(writing)


def test_a_deadline_ends_the_wait_and_never_early(loop: Loop) -> None:
    """After the wait the clock has reached it; one that has passed is no wait."""
    for delay in (0.0, 0.0004, 0.003, 0.02):
        until = loop.now() + delay
        assert loop.wait(until) == set()
        assert loop.now() >= until
    assert loop.wait(loop.now() - 1000) == set()


def test_without_a_deadline_the_kernel_is_given_none(pipe: tuple[int, int]) -> None:
    """The system call that the process sleeps in has -1 as its timeout: nothing will wake it."""
    pid = os.fork()
    if pid == 0:
        loop = Loop()
        loop.watch(pipe[0], "pipe")
        os._exit(7 if loop.wait(None) == {"pipe"} else 1)
    try:

        def waits() -> bool:
            with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
                words = file.read().split()
            return len(words) > 5 and int(words[4], 16) & 0xFFFFFFFF == 0xFFFFFFFF

        wait_until("a wait without a timeout", waits)
        os.write(pipe[1], b"x")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def test_it_leaves_nothing_to_a_command() -> None:
    """Its descriptor is close-on-exec."""
    before = descriptors()
    loop = Loop()
    (made,) = descriptors() - before
    assert os.readlink(f"/proc/self/fd/{made}") == "anon_inode:[eventpoll]"
    assert not os.get_inheritable(made)
    loop.close()
    assert descriptors() == before


def descriptors() -> set[int]:
    """What this process has open, without the one that lists them."""
    listed = map(int, os.listdir("/proc/self/fd"))
    return {fd for fd in listed if os.path.lexists(f"/proc/self/fd/{fd}")}

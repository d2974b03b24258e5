"""Unix sockets that never block, and who is at the other end."""

from __future__ import annotations

import errno
import os
import resource
import stat
import tempfile
from collections.abc import Iterator

import pytest

from sentinel.linux import sockets
from sentinel.linux.sockets import (
    BACKLOG,
    LONGEST_PATH,
    Listener,
    NoRoom,
    Peer,
    connect,
    connect_to,
    listen,
)
from sentinel.linux.watchlist import Watchlist
from sentinel.model.errors import KernelFileError


@pytest.fixture
def directory() -> Iterator[str]:
    """A directory with a short path: a socket's has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="s-") as path:
        yield path


@pytest.fixture
def listener(directory: str) -> Iterator[Listener]:
    """A socket that listens."""
    made = listen(os.path.join(directory, "sock"), 0o600)
    yield made
    made.remove()


def test_the_mode_is_the_one_asked_for_whatever_the_umask(directory: str) -> None:
    """From the first moment on, and the umask is as it was."""
    for umask in (0o000, 0o022, 0o777):
        for mode in (0o600, 0o666):
            path = os.path.join(directory, f"{umask:o}-{mode:o}")
            before = os.umask(umask)
            try:
                made = listen(path, mode)
                assert os.umask(umask) == umask
            finally:
                os.umask(before)
            status = os.stat(path)
            assert stat.S_ISSOCK(status.st_mode)
            assert stat.S_IMODE(status.st_mode) == mode
            made.remove()
            assert not os.path.lexists(path)


def test_both_ends_know_each_other(listener: Listener) -> None:
    """By the kernel's word: pid and uid."""
    assert listener.accept() is None
    client = connect(listener.path)
    server = listener.accept()
    assert server is not None
    assert server.peer() == client.peer() == Peer(os.getpid(), os.getuid())
    assert not os.get_inheritable(server.fd)
    assert not os.get_inheritable(client.fd)
    assert not os.get_inheritable(listener.fd)
    client.close()
    server.close()


def test_nothing_blocks_and_the_end_is_an_answer(listener: Listener) -> None:
    """Nothing there is None, the end is empty, a reader who is gone is None too."""
    client = connect(listener.path)
    server = listener.accept()
    assert server is not None
    assert server.receive(10) is None
    assert client.send(b"hello") == 5
    assert server.receive(3) == b"hel"
    assert server.receive(10) == b"lo"
    sent = 0
    while taken := server.send(b"x" * 65536):
        sent += taken
    assert taken == 0
    assert sent >= 65536
    server.finish()
    server.finish()
    client.close()
    assert server.receive(10) == b""
    assert server.send(b"x") is None
    server.finish()
    server.close()


def test_a_path_that_exists_is_not_taken_and_not_followed(directory: str) -> None:
    """A file, a directory, a symlink to where nothing is yet."""
    path = os.path.join(directory, "path")
    target = os.path.join(directory, "target")
    for linked in (False, True):
        if linked:
            os.symlink(target, path)
        else:
            os.mkdir(path)
        with pytest.raises(KernelFileError) as caught:
            listen(path, 0o600)
        assert caught.value.errno == errno.EADDRINUSE
        assert not os.path.lexists(target)
        if linked:
            os.unlink(path)
        else:
            os.rmdir(path)


def test_a_path_that_is_too_long_is_refused_with_the_reason(directory: str) -> None:
    """The longest that everybody can connect to is taken."""
    room = LONGEST_PATH - len(directory) - 1
    listen(os.path.join(directory, "x" * room), 0o600).remove()
    with pytest.raises(KernelFileError, match="107 bytes: choose a shorter one"):
        listen(os.path.join(directory, "x" * (room + 1)), 0o600)


def test_connecting_where_nobody_listens_is_refused(directory: str) -> None:
    """ECONNREFUSED for a dead socket, ENOENT for none."""
    path = os.path.join(directory, "sock")
    made = listen(path, 0o600)
    os.link(path, path + "-dead")
    made.remove()
    for name, number in (("sock-dead", errno.ECONNREFUSED), ("sock", errno.ENOENT)):
        with pytest.raises(KernelFileError) as caught:
            connect(os.path.join(directory, name))
        assert caught.value.errno == number


def test_a_path_that_another_user_wrote_down(listener: Listener) -> None:
    """Only what that user made is connected to: no other's socket, no symlink, nothing else."""
    me, stranger = os.geteuid(), os.geteuid() + 1
    connect_to(listener.path, me).close()
    accepted = listener.accept()
    assert accepted is not None
    accepted.close()
    link, file = listener.path + ".link", listener.path + ".file"
    os.symlink(listener.path, link)
    with open(file, "w"):
        pass
    for path, uid in ((listener.path, stranger), (link, me), (file, me)):
        with pytest.raises(KernelFileError) as refused:
            connect_to(path, uid)
        assert (refused.value.op, refused.value.errno) == ("trust", errno.EPERM)
    assert listener.accept() is None
    for path, number in ((listener.path + ".none", errno.ENOENT), ("a\0b", errno.ENOENT)):
        with pytest.raises(KernelFileError) as missing:
            connect_to(path, me)
        assert missing.value.errno == number


def test_a_full_backlog_does_not_hold_up_who_connects(listener: Listener) -> None:
    """EAGAIN, at once."""
    waiting = [connect(listener.path) for _ in range(BACKLOG + 1)]
    with pytest.raises(KernelFileError) as caught:
        connect(listener.path)
    assert caught.value.errno == errno.EAGAIN
    for stream in waiting:
        stream.close()


def test_only_its_own_path_is_removed(directory: str) -> None:
    """What somebody put there since stays."""
    path = os.path.join(directory, "sock")
    made = listen(path, 0o600)
    os.unlink(path)
    with open(path, "w", encoding="ascii") as file:
        file.write("mine")
    made.remove()
    assert os.path.getsize(path) == 4
    os.unlink(path)
    listen(path, 0o600).remove()
    assert not os.path.lexists(path)


def test_no_descriptor_left_is_no_room(listener: Listener) -> None:
    """Whoever waits is accepted when there is one again."""
    client = connect(listener.path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    fillers = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        while True:
            try:
                fillers.append(os.dup(0))
            except OSError:
                break
        with pytest.raises(NoRoom):
            listener.accept()
    finally:
        for fd in fillers:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    server = listener.accept()
    assert server is not None
    server.close()
    client.close()
    assert sockets.descriptors_allowed() == soft


def test_a_watchlist_is_one_descriptor_for_many() -> None:
    """It is ready when one of them is, tells which, and takes turns."""
    outer, inner = Watchlist(), Watchlist()
    outer.watch(inner.fd, "inner")
    pipes = [os.pipe() for _ in range(6)]
    for number, (reading, _) in enumerate(pipes):
        inner.watch(reading, number)
    assert outer.ready(9) == []
    for _, writing in pipes:
        os.write(writing, b"x")
    assert outer.ready(9) == ["inner"]
    first, second, third = inner.ready(2), inner.ready(2), inner.ready(2)
    assert sorted(map(str, first + second + third)) == list("012345")
    for reading, writing in pipes:
        inner.forget(reading)
        os.close(reading)
        os.close(writing)
    assert outer.ready(9) == []
    inner.close()
    outer.close()


def test_a_watchlist_tells_who_can_be_written_to_and_who_is_gone(listener: Listener) -> None:
    """Writability only when asked for; the end of the peer in any case."""
    board = Watchlist()
    client = connect(listener.path)
    server = listener.accept()
    assert server is not None
    board.watch(server.fd, "server")
    assert board.ready(9) == []
    board.watch(server.fd, "server", writing=True)
    assert board.ready(9) == ["server"]
    board.watch(server.fd, "server", reading=False)
    client.send(b"x")
    assert board.ready(9) == []
    client.close()
    assert board.ready(9) == ["server"]
    board.forget(server.fd)
    board.forget(server.fd)
    assert board.ready(9) == []
    server.close()
    board.close()

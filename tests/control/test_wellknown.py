"""The path that everybody knows: one has it, the others wait for its end, nothing is trampled."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from sentinel.control.client import ask
from sentinel.linux.locks import try_lock
from sentinel.model.spec import Observation
from tests.control.stage import Stage, stages
from tests.lab import ROOT
from tests.victims.running import Victim, wait_until

pytestmark = pytest.mark.native

STRANGER = 12345
LIMIT = 60.0
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@contextmanager
def keeper(directory: str, *words: str) -> Iterator[Victim]:
    """A guard of its own process; ends with the test."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.control.keeper", directory, *words],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        try:
            victim = Victim(process)
            victim.wait_start("ready", LIMIT)
            yield victim
        finally:
            process.kill()
            process.wait()


def holder(common: str) -> str:
    """Whose run answers at the well-known path; empty while nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(common)
        except (FileNotFoundError, ConnectionRefusedError):
            return ""
    return ask(common, "status", LIMIT).split("name", 1)[1].split()[0]


def dead_socket(path: str) -> None:
    """Leave a socket behind that nobody serves."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(path)


def test_the_first_has_it_and_the_next_takes_it_over(short: str) -> None:
    """When the first one ends in order; silently."""
    common = os.path.join(short, "common.socket")
    with keeper(short, "first") as first, keeper(short, "second") as second:
        assert holder(common) == "first"
        assert first.process.stdin is not None
        first.process.stdin.close()
        first.wait_end(LIMIT)
        wait_until("the second to have it", lambda: holder(common) == "second", LIMIT)
        assert second.lines == ["ready"]


def test_a_holder_that_is_killed_is_succeeded_by_one(short: str) -> None:
    """SIGKILL leaves the file behind; of three who wait one takes it, and so on to the last."""
    common = os.path.join(short, "common.socket")
    names = ["one", "two", "three", "four"]
    with ExitStack() as stack:
        keepers = {name: stack.enter_context(keeper(short, name)) for name in names}
        for _ in range(3):
            name = holder(common)
            keepers[name].process.kill()
            keepers.pop(name).process.wait()
            wait_until("a successor", lambda: holder(common) in keepers, LIMIT)
        assert all(left.lines == ["ready"] for left in keepers.values())


def test_who_waits_makes_no_wake_up(short: str) -> None:
    """Not even a timer: only the end of the holder is waited for."""
    with keeper(short, "first"), Stage(short, "second") as second:
        assert second.server.deadline() is None
        assert second.loop.wait(second.loop.now() + 0.3) == set()


def test_a_stale_socket_of_ours_is_replaced(short: str) -> None:
    """Silently."""
    common = os.path.join(short, "common.socket")
    dead_socket(common)
    with Stage(short) as stage:
        assert stage.ask("ping", common) == "pong\n"
        assert stage.heard == []
    assert not os.path.lexists(common)


def make_symlink(path: str) -> None:
    """A symlink to a file that is not there yet."""
    os.symlink(path + "-target", path)


def make_file(path: str) -> None:
    """A regular file with something in it."""
    with open(path, "w", encoding="ascii") as file:
        file.write("precious")


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (make_symlink, "a symlink"),
        (make_file, "a regular file"),
        (os.mkdir, "a directory"),
        (os.mkfifo, "a FIFO"),
    ],
)
def test_what_is_no_socket_is_left_untouched(
    short: str, make: Callable[[str], None], kind: str
) -> None:
    """One warning names it and the run's own socket, which serves."""
    common = os.path.join(short, "common.socket")
    make(common)
    before = os.lstat(common)
    with Stage(short) as stage:
        own = stage.path()
        assert stage.heard == [f"{common} is {kind}: left untouched; this run listens on {own}"]
        assert stage.ask("ping") == "pong\n"
        assert stage.server.deadline() is None
    assert os.lstat(common) == before
    assert not os.path.lexists(common + "-target")


@AS_ROOT
def test_a_dead_socket_of_another_user_is_left_untouched(short: str) -> None:
    """Even by root, who could remove it."""
    common = os.path.join(short, "common.socket")
    dead_socket(common)
    os.chown(common, STRANGER, STRANGER)
    with Stage(short) as stage:
        assert len(stage.heard) == 1
        assert stage.heard[0].startswith(f"{common} is a socket of uid {STRANGER}: left untouched")
    assert os.lstat(common).st_uid == STRANGER


def test_a_dead_socket_where_anybody_may_put_another_is_left(short: str) -> None:
    """A directory that is open to all and not sticky is no place to remove things by name."""
    common = os.path.join(short, "common.socket")
    dead_socket(common)
    os.chmod(short, 0o777)
    with Stage(short) as stage:
        assert "a dead socket in a directory where anybody may put another" in stage.heard[0]
    os.chmod(short, 0o1777)
    with Stage(short) as stage:
        assert stage.heard == []


def test_one_of_our_own_process_is_not_waited_for(short: str) -> None:
    """Two servers of one guard: the second has its own socket, and is silent."""
    with stages(short, Observation(), Observation()) as (first, second):
        assert second.heard == []
        assert second.server.deadline() is None
        assert first.ask("ping", first.common) == "pong\n"


def test_a_starter_at_work_is_waited_for_a_moment(short: str) -> None:
    """Who holds the lock is about to bind; it is tried again, and not for ever."""
    os.mkdir(os.path.join(short, "runtime"), 0o700)
    lock = os.open(os.path.join(short, "runtime", "well-known.lock"), os.O_RDWR | os.O_CREAT)
    assert try_lock(lock)
    with Stage(short) as stage:
        assert stage.server.deadline() is not None
        assert not os.path.lexists(stage.common)
        os.close(lock)
        stage.until("the path to be ours", lambda: os.path.lexists(stage.common))
        assert stage.server.deadline() is None
        assert stage.ask("ping", stage.common) == "pong\n"


def test_a_lock_that_is_never_let_go_costs_eight_tries(short: str) -> None:
    """And then no timer any more."""
    os.mkdir(os.path.join(short, "runtime"), 0o700)
    lock = os.open(os.path.join(short, "runtime", "well-known.lock"), os.O_RDWR | os.O_CREAT)
    assert try_lock(lock)
    tries = 0
    with Stage(short) as stage:
        while (due := stage.server.deadline()) is not None:
            tries += 1
            stage.server.turn(due - 0.001, set())
            assert stage.server.deadline() == due, "sooner is no try"
            stage.server.turn(due, set())
        assert tries == 8
        assert stage.heard == []
    os.close(lock)


@AS_ROOT
def test_another_user_s_run_is_silent_and_succeeded(short: str) -> None:
    """It is live: no warning. When it ends in order the path is free, and taken."""
    os.chmod(short, 0o1777)
    common = os.path.join(short, "common.socket")
    theirs = os.path.join(short, "theirs")
    os.mkdir(theirs)
    os.chown(theirs, STRANGER, STRANGER)
    with keeper(theirs, "stranger", common, str(STRANGER)) as stranger, Stage(short) as stage:
        assert stage.heard == []
        assert stage.server.deadline() is None
        assert holder(common) == "stranger"
        assert stranger.process.stdin is not None
        stranger.process.stdin.close()
        stranger.wait_end(LIMIT)
        stage.until("the path to be ours", lambda: os.path.lexists(common))
        assert stage.ask("ping", common) == "pong\n"
        # That we looked who has it is nothing that the other user is told about.
        assert stranger.lines == ["ready"]


@AS_ROOT
def test_a_stranger_is_refused_and_told_about_once(short: str) -> None:
    """A real second uid: one line for the user however often it asks, and the run goes on."""
    os.chmod(short, 0o755)
    with Stage(short) as stage:
        for _ in range(3):
            child = asking_as(STRANGER, stage.common, b"stop\n")
            stage.until("the stranger to be answered", child.ended)
            assert child.answer == b"error: not permitted\n"
        assert stage.heard == [
            f"uid {STRANGER} is not permitted to ask this run; --allow-uid {STRANGER} would"
        ]
        assert stage.run.requests == []
        assert stage.ask("ping", stage.common) == "pong\n"


@AS_ROOT
def test_an_allowed_uid_is_served_and_named(short: str) -> None:
    """The run learns who asked."""
    os.chmod(short, 0o755)
    allowed = Observation(allow_uids=frozenset({STRANGER}))
    with Stage(short, observation=allowed) as stage:
        child = asking_as(STRANGER, stage.common, b"stop\n")
        stage.until("the allowed one to be answered", child.ended)
        assert child.answer == b"so be it\n"
        assert [asker for _, asker in stage.run.requests] == [f"uid {STRANGER}"]
        child = asking_as(STRANGER, stage.common, b"uid=0 stop\n")
        stage.until("the answer", child.ended)
        assert child.answer == b"error: not permitted\n"
        assert len(stage.run.requests) == 1
        assert stage.heard == []


class Asking:
    """A child that asks once as another user; what it was answered."""

    def __init__(self, pid: int, fd: int) -> None:
        self._pid = pid
        self._fd = fd
        self._ended = False
        self.answer = b""

    def ended(self) -> bool:
        """Whether it has ended; its answer is known then."""
        if not self._ended and os.waitpid(self._pid, os.WNOHANG)[0]:
            self._ended = True
            self.answer = os.read(self._fd, 1 << 16)
            os.close(self._fd)
        return self._ended


def asking_as(uid: int, path: str, line: bytes) -> Asking:
    """Fork a child that becomes `uid`, asks, and writes the answer down."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setresuid(uid, uid, uid)
            signal.alarm(int(LIMIT))
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                client.connect(path)
                client.send(line)
                while data := client.recv(4096):
                    os.write(writing, data)
        finally:
            os._exit(0)
    os.close(writing)
    return Asking(pid, reading)

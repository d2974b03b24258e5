"""Root and the runs of other users: found, named UID/NAME, and not trusted."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator

import pytest

from sentinel.commands import ls, main
from sentinel.control import neighbours, registry
from sentinel.control.registry import Entry
from sentinel.linux import runtime
from sentinel.linux.runtime import Place

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(os.geteuid() != 0, reason="being another user needs root"),
]

OTHER = 54321
STATUS = '{"name":"job","state":"watching","elapsed":1,"limits":{"soft":1048576}}\n'
DONE = '{"name":"job","answer":"done"}\n'


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A /tmp of the test's own, for root and everybody."""
    path = tempfile.mkdtemp(dir="/tmp")
    os.chmod(path, 0o1777)
    own = (Place(path, "sentinel-0", private=False),)
    monkeypatch.setattr(runtime, "places", lambda *_: own)
    monkeypatch.setattr(neighbours, "EVERYBODY", ((path, ""),))
    monkeypatch.setattr(ls, "PATIENCE", 20.0)
    yield path
    shutil.rmtree(path)


@contextlib.contextmanager
def foreign(parent: str, path: str = "") -> Iterator[None]:
    """A run called job of another user, which says that its socket is `path`."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(OTHER)
            os.setuid(OTHER)
            _serve(parent, path, tell)
        finally:
            os._exit(1)
    os.close(tell)
    try:
        assert os.read(ready, 1) == b"y"
        yield
    finally:
        os.close(ready)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _serve(parent: str, path: str, tell: int) -> None:
    place = Place(parent, f"sentinel-{OTHER}", private=False)
    runtime.open_runtime_directory((place,)).close()
    own = f"{place.path}/job.1.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(own)
    listener.listen(8)
    entry = Entry("job", 1, 2, 0, 1.0, "", None, path or own, "rss", 1 << 20, None, "", "x\x1b")
    registry.register(entry, (place,))
    os.write(tell, b"y")
    while True:
        connection, _ = listener.accept()
        line = connection.recv(4096)
        connection.sendall((STATUS if line.startswith(b"status") else DONE).encode())
        connection.close()


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run `sentinel WORDS`; its status, stdout, and stderr."""

    def sentinel(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main._status(words)  # noqa: SLF001 - what main() does but for ending the process
        return (status, *capfd.readouterr())

    return sentinel


Run = Callable[..., tuple[int, str, str]]


def test_runs_of_others_are_listed_for_root(everywhere: str, run: Run) -> None:
    """With --all, called UID/NAME, whatever uid they claim; without, they are not root's own."""
    with foreign(everywhere):
        status, out, err = run("ls", "--all")
        assert (status, err) == (0, "")
        row = out.splitlines()[1].split()
        assert row == [f"{OTHER}/job", "watching", "rss", "2", "1s", "?", "1M", "x\\x1b"]
        status, out, _ = run("ls", "--all", "--json")
        assert [found["uid"] for found in json.loads(out)["runs"]] == [OTHER]
        assert run("ls")[1].count("\n") == 1


@pytest.mark.parametrize("name", ["job", f"{OTHER}/job"])
def test_runs_of_others_are_reached_by_root(everywhere: str, run: Run, name: str) -> None:
    """By UID/NAME, and by the name alone when root has no such run."""
    with foreign(everywhere):
        assert run("freeze", name) == (0, "done\n", "")
        line = f"sentinel: no run called '1/{name}' is live, nor any other\n"
        assert run("freeze", f"1/{name}") == (3, "", line)


def test_roots_own_run_comes_first(everywhere: str, run: Run) -> None:
    """A user cannot put a run before root's by its name."""
    boot, namespace = registry.whereabouts()
    entry = Entry("job", os.getpid(), 1, 0, 2.0, boot, namespace, "", "rss", 1, None, "", "x")
    with foreign(everywhere):
        registration = registry.register(entry)
        line = f"sentinel: job was started with --no-socket; signal it: kill {os.getpid()}\n"
        assert run("freeze", "job") == (125, "", line)
        assert run("freeze", f"{OTHER}/job") == (0, "done\n", "")
        registration.close()


def test_a_socket_that_is_not_the_users_hears_nothing(everywhere: str, run: Run) -> None:
    """Root cannot be sent to a service of root's by what a user registered, symlink or not."""
    trap = f"{everywhere}/service.sock"
    service = socket.socket(socket.AF_UNIX)
    service.bind(trap)
    service.listen(8)
    service.setblocking(False)
    os.symlink(trap, f"{everywhere}/link.sock")
    for path, why in (
        (trap, f"{trap!r} is no socket of uid {OTHER}; do not trust that run"),
        (f"{everywhere}/link.sock", f"'{everywhere}/link.sock' is no socket of uid {OTHER}"),
        ("/nowhere", f"cannot reach {OTHER}/job: No such file or directory: '/nowhere'"),
    ):
        with foreign(everywhere, path):
            status, out, err = run("stop", f"{OTHER}/job")
            assert (status, out) == (125, "")
            assert err.startswith(f"sentinel: {why}")
            assert run("ls", "--all")[1].splitlines()[1].split()[1] == "?"
        os.unlink(f"{everywhere}/sentinel-{OTHER}/job.1.sock")
    with pytest.raises(BlockingIOError):
        service.accept()
    service.close()

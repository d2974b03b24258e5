"""Where a real run listens, and what it does when somebody else is there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest

from sentinel.control.client import ControlError, ask
from tests.cli.private import LIMIT, guarded
from tests.victims.running import wait_until

OPTIONS = ("--backend", "rss", "-q", "--limit", "200M", "--name", "job")
ENTRY = "runtime/run-job.entry"
SLEEP = ("sleep", "3600")


@pytest.fixture
def short() -> Iterator[str]:
    """A directory with a short path: a socket's has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="s-") as path:
        yield path


def test_a_path_of_one_s_own(short: str) -> None:
    """Instead of the usual one, and written down for those who look for the run."""
    path = os.path.join(short, "mine")
    with guarded(short, *OPTIONS, "--socket", path, command=SLEEP, sign=ENTRY) as run:
        assert not os.path.exists(run.own("job"))
        with open(os.path.join(short, ENTRY), encoding="utf-8") as file:
            assert f"socket={path}\n" in file.read()
        assert ask(path, "stop", LIMIT).startswith("stopping job")
        assert run.wait()[0] == 143
    assert not os.path.lexists(path)


def test_the_environment_names_a_path(short: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the option does."""
    path = os.path.join(short, "mine")
    monkeypatch.setenv("SENTINEL_SOCKET", path)
    with guarded(short, *OPTIONS, command=SLEEP) as run:
        assert ask(path, "kill", LIMIT) == "killing job\n"
        assert run.wait()[0] == 137


def test_no_socket_is_none(short: str) -> None:
    """The run is written down all the same, and ends by its own."""
    with guarded(short, *OPTIONS, "--no-socket", command=SLEEP, sign=ENTRY) as run:
        assert os.listdir(os.path.join(short, "runtime")).count("run-job.entry") == 1
        assert not os.path.exists(run.common)
        assert not os.path.exists(run.own("job"))
        run.process.terminate()
        assert run.wait()[0] == 143
    assert "run-job.entry" not in os.listdir(os.path.join(short, "runtime"))


def test_a_symlink_at_the_well_known_path_costs_one_warning(short: str) -> None:
    """It names the link and the run's own socket, which serves; the link stays as it is."""
    common = os.path.join(short, "common.socket")
    os.symlink("elsewhere", common)
    loud = [word for word in OPTIONS if word != "-q"]
    with guarded(short, *loud, command=SLEEP, sign=ENTRY) as run:
        own = run.own("job")
        assert ask(own, "kill", LIMIT) == "killing job\n"
        _, said = run.wait()
    told = [line for line in said.splitlines() if common in line]
    assert told == [
        f"sentinel: job: {common} is a symlink: left untouched; this run listens on {own}"
    ]
    assert os.readlink(common) == "elsewhere"


def answers(path: str) -> bool:
    """Whether anybody does there."""
    try:
        return ask(path, "ping", LIMIT) == "pong\n"
    except ControlError:
        return False


def test_a_killed_run_leaves_nothing_that_the_next_does_not_clear(short: str) -> None:
    """Its sockets and its entry are swept when the next run starts."""
    with guarded(short, *OPTIONS, command=SLEEP) as dead:
        remains = dead.own("job")
        assert os.path.exists(remains)
        dead.process.kill()
        dead.process.wait()
    assert os.path.exists(remains)
    with guarded(short, *OPTIONS, command=SLEEP) as run:
        wait_until("the run's own socket", lambda: os.path.exists(run.own("job")), LIMIT)
        wait_until("the dead one's to be swept", lambda: not os.path.exists(remains), LIMIT)
        wait_until("the path to be ours", lambda: answers(run.common), LIMIT)
        assert ask(run.common, "kill", LIMIT) == "killing job\n"
        assert run.wait()[0] == 137
    left = os.listdir(os.path.join(short, "runtime"))
    assert [name for name in left if name.endswith((".sock", ".entry"))] == []


def test_a_run_that_is_over_at_once_clears_it_as_well(short: str) -> None:
    """Before it could listen itself."""
    with guarded(short, *OPTIONS, command=SLEEP) as dead:
        dead.process.kill()
        dead.process.wait()
    with guarded(short, *OPTIONS, command=("true",), sign="never") as run:
        assert run.wait() == (0, "")
    left = os.listdir(os.path.join(short, "runtime"))
    assert [name for name in left if name.endswith((".sock", ".entry"))] == []

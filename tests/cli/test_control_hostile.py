"""A live run among strangers, the silent, the flooding and the confused."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sentinel.control.client import ControlError, ask
from tests.cli.fuzz import assault, weight
from tests.cli.private import LIMIT, guarded
from tests.victims.running import wait_until

STRANGER = 12345
MIB = 1 << 20
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")


@pytest.fixture
def short() -> Iterator[str]:
    """A directory with a short path that others may enter."""
    with tempfile.TemporaryDirectory(prefix="s-") as path:
        os.chmod(path, 0o755)
        yield path


def asked_by_stranger(path: str, line: str) -> str:
    """What `echo LINE | nc -U PATH` prints for another user."""
    nc = shutil.which("nc")
    assert nc is not None
    done = subprocess.run(
        [nc, "-U", path],
        input=line.encode() + b"\n",
        stdout=subprocess.PIPE,
        timeout=LIMIT,
        check=False,
        user=STRANGER,
        group=STRANGER,
        extra_groups=[],
    )
    return done.stdout.decode()


@AS_ROOT
def test_a_stranger_is_refused_told_about_once_and_harmless(short: str) -> None:
    """A real second uid: five attempts, one line, and the run ends as it would have."""
    with guarded(
        short, "--backend", "rss", "--limit", "200M", "--name", "job", command=["sleep", "3600"]
    ) as run:
        answers = [asked_by_stranger(run.common, "stop") for _ in range(5)]
        assert answers == ["error: not permitted\n"] * 5
        assert ask(run.common, "status", LIMIT).startswith("name           job\n")
        ask(run.common, "kill", LIMIT)
        _, said = run.wait()
    told = [line for line in said.splitlines() if str(STRANGER) in line]
    reason = f"uid {STRANGER} is not permitted to ask this run; --allow-uid {STRANGER} would"
    assert told == [f"sentinel: job: {reason}"]


@AS_ROOT
def test_an_allowed_uid_is_served(short: str) -> None:
    """And stands in the verdict."""
    options = ["--backend", "rss", "--limit", "200M", "--allow-uid", str(STRANGER)]
    with guarded(short, *options, "--name", "job", command=["sleep", "3600"]) as run:
        assert asked_by_stranger(run.common, "status").startswith("name           job\n")
        assert asked_by_stranger(run.common, "stop").startswith("stopping job")
        status, said = run.wait()
    assert status == 143
    assert f"stopped: asked for by uid {STRANGER}" in said


def test_fifty_silent_clients_and_a_stop(short: str) -> None:
    """They hold their connections open; status and stop work past them."""
    with guarded(
        short, "--backend", "rss", "-q", "--limit", "200M", command=["sleep", "3600"]
    ) as run:
        silent = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(50)]
        for client in silent:
            client.connect(run.common)
        assert "name           sleep\n" in ask(run.common, "status", LIMIT)
        assert ask(run.common, "stop", LIMIT).startswith("stopping sleep")
        assert run.wait()[0] == 143
        for client in silent:
            assert client.recv(1) == b""
            client.close()


def test_a_hundred_flooding_clients_and_a_stop(short: str) -> None:
    """And fifty silent ones: all are answered, or told why not, and a stop gets through."""
    with (
        ThreadPoolExecutor(100) as pool,
        guarded(
            short, "--backend", "rss", "-q", "--limit", "200M", command=["sleep", "3600"]
        ) as run,
    ):
        silent = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(50)]
        for client in silent:
            client.connect(run.common)
        counts = [0] * 100
        floods = [pool.submit(flood, run.common, counts, number) for number in range(100)]
        wait_until("everybody to be answered again and again", lambda: min(counts) > 2, LIMIT)
        assert "state          watching\n" in ask(run.common, "status", LIMIT)
        assert ask(run.common, "stop", LIMIT).startswith("stopping sleep")
        assert run.wait()[0] == 143
        for done in floods:
            done.result(LIMIT)
        for client in silent:
            assert client.recv(1) == b""
            client.close()


def flood(path: str, counts: list[int], number: int) -> None:
    """Ask until the run is over; counts how often that was answered."""
    while True:
        try:
            answer = ask(path, "ping", LIMIT)
        except ControlError:
            return
        assert answer in ("pong\n", "error: the run is over\n")
        counts[number] += 1


def test_a_hundred_thousand_random_lines_cost_nothing(short: str) -> None:
    """No crash, no memory, no descriptor; the command has not noticed, and a stop still works."""
    with guarded(
        short, "--backend", "rss", "-q", "--limit", "200M", command=["sleep", "3600"]
    ) as run:
        assault(run.common, 30_000, 1)  # everything that is imported late is, and arenas are full
        settled = weight(run.process.pid)
        answered = assault(run.common, 70_000, 2)
        assert answered > 0.8 * 70_000
        wait_until(
            "the last connections to be closed",
            lambda: weight(run.process.pid).descriptors <= settled.descriptors,
            LIMIT,
        )
        assert weight(run.process.pid).memory < settled.memory + 2 * MIB
        status = ask(run.common, "status", LIMIT)
        assert "verdict        none so far\n" in status
        assert "state          watching\n" in status
        assert ask(run.common, "stop", LIMIT).startswith("stopping sleep")
        assert run.wait()[0] == 143


def test_two_runs_and_the_path_that_everybody_knows(short: str) -> None:
    """The second is reached through the first by its name, and has the path when that is killed."""
    options = ["--backend", "rss", "-q", "--limit", "200M", "--name"]
    with (
        guarded(short, *options, "one", command=["sleep", "3600"]) as first,
        guarded(short, *options, "two", command=["sleep", "3600"]) as second,
    ):
        wait_until("the second's socket", lambda: os.path.exists(second.own("two")), LIMIT)
        wait_until(
            "two runs",
            lambda: ask(first.common, "status", LIMIT).startswith(
                "1 of 2 runs, see: sentinel ls\n"
            ),
            LIMIT,
        )
        assert ask(first.common, "status two", LIMIT).startswith("name           two\n")
        first.process.kill()
        first.process.wait()
        wait_until("the path to be passed on", lambda: serves(second.common, "two"), LIMIT)
        assert ask(second.common, "stop two", LIMIT).startswith("stopping two")
        assert second.wait()[0] == 143
    assert not os.path.lexists(second.common)


def serves(path: str, name: str) -> bool:
    """Whether the run called `name` answers at `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return f"name           {name}\n" in ask(path, "status", LIMIT)


def test_a_running_command_is_changed_and_a_stopping_one_is_not(short: str) -> None:
    """Limit, grace, freezing; after a stop began limit and grace stay what they are."""
    stubborn = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
    with guarded(short, "--backend", "rss", "-q", "--limit", "200M", command=stubborn) as run:
        wait_until("the trap to be set", lambda: "sleep" in ask(run.common, "tree", LIMIT), LIMIT)
        assert ask(run.common, "limit 250M", LIMIT) == "limit 250M\n"
        assert ask(run.common, "grace 500ms", LIMIT) == "grace 500ms\n"
        assert "limit          250M of workingset\n" in ask(run.common, "status", LIMIT)
        assert ask(run.common, "freeze", LIMIT) == "frozen sh\n"
        assert "state          watching, frozen\n" in ask(run.common, "status", LIMIT)
        assert ask(run.common, "thaw", LIMIT) == "thawed sh\n"
        assert ask(run.common, "stop", LIMIT) == "stopping sh: sent SIGTERM, 500ms to finish\n"
        assert ask(run.common, "limit 1G", LIMIT) == "error: already stopping\n"
        assert ask(run.common, "grace 9s", LIMIT) == "error: already stopping\n"
        assert run.wait()[0] == 137

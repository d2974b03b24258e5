"""A live run and the tools that people have: `echo status | nc -U PATH`."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from tests.cli.private import LIMIT, guarded

TOOLS = {
    "OpenBSD nc": ["nc", "-U"],
    "OpenBSD nc -N": ["nc", "-N", "-U"],
    "ncat": ["ncat", "-U"],
    "socat": ["socat", "-"],
}


@pytest.fixture
def short() -> Iterator[str]:
    """A directory with a short path: a socket's has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="s-") as path:
        yield path


def piped(tool: str, path: str, line: str) -> str:
    """What `echo LINE | TOOL PATH` prints; it must end by itself."""
    target = f"UNIX-CONNECT:{path}" if tool == "socat" else path
    done = subprocess.run(
        [*TOOLS[tool], target],
        input=line.encode() + b"\n",
        stdout=subprocess.PIPE,
        timeout=LIMIT,
        check=True,
    )
    return done.stdout.decode()


@pytest.mark.parametrize("tool", TOOLS)
def test_status_and_stop_work_with(tool: str, short: str) -> None:
    """Each tool: the answer comes, the tool ends, and the run was stopped by its user."""
    outcome = os.path.join(short, "outcome.json")
    options = ["--backend", "rss", "-q", "--limit", "200M", "--name", "job", "--json", outcome]
    with guarded(short, *options, command=["sleep", "3600"]) as run:
        lines = piped(tool, run.common, "status").splitlines()
        assert lines[0] == "name           job"
        assert "limit          200M of workingset" in lines
        assert json.loads(piped(tool, run.own("job"), "status json"))["backend"] == "rss"
        answer = piped(tool, run.common, "stop")
        assert answer == "stopping job: sent SIGTERM, 3s to finish\n"
        status, _ = run.wait()
    assert status == 143
    with open(outcome, encoding="utf-8") as file:
        document = json.load(file)
    assert document["verdict"] == "stopped"
    assert document["asked_by"] == f"uid {os.getuid()}"
    assert os.listdir(os.path.join(short, "runtime")) == ["well-known.lock"]
    assert not os.path.lexists(run.common)


def test_events_are_lines_of_json_until_the_end(short: str) -> None:
    """Told over the socket while it happens; the last line is the verdict."""
    with guarded(
        short, "--backend", "rss", "-q", "--name", "job", command=["sleep", "3600"]
    ) as run:
        reader = subprocess.Popen(
            ["nc", "-U", run.common], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert reader.stdin is not None
        assert reader.stdout is not None
        with reader, reader.stdin, reader.stdout:
            reader.stdin.write(b"events\n")
            reader.stdin.flush()
            assert json.loads(reader.stdout.readline())["event"] == "hello"
            piped("ncat", run.common, "limit 300M")
            piped("ncat", run.common, "kill")
            events = [json.loads(line) for line in reader.stdout]
            reader.stdin.close()
        status, _ = run.wait()
    assert status == 137
    assert events[0]["event"] == "limit changed"
    assert events[0]["detail"] == f"limit 300M, by uid {os.getuid()}"
    assert "killed" in [event["event"] for event in events]
    assert (events[-1]["event"], events[-1]["verdict"]) == ("over", "killed")
    times = [event["monotonic"] for event in events]
    assert times == sorted(times)

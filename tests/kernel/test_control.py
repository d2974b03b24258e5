"""The control socket of a run in a leaf, at the path that everybody knows: the guest's /tmp.

A guest has the machine's own tools, so `echo status | nc -U /tmp/sentinel.socket` is literally
what is tested; outside the lab the path may be somebody else's, so it stays out.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sentinel.control.client import ControlError, ask
from tests.cli.fuzz import assault, weight
from tests.cli.test_control_nc import TOOLS, piped
from tests.kernel.guarded import (
    PATIENCE,
    alive,
    ended_at_last,
    guard,
    leaves,
    listens,
    victim_words,
    wait_for,
)
from tests.kernel.test_weight import settled, switches

QUIET = 10.0
"""Seconds in which nothing may wake."""
COMMON = "/tmp/sentinel.socket"
MIB = 1 << 20

pytestmark = [pytest.mark.lab, pytest.mark.limit(600)]


@contextmanager
def holding(size: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A run that holds `size` and goes on; begins when its socket is there."""
    victim = victim_words("hold", f"size={size}", "seconds=600")
    with ended_at_last(guard(list(options), victim)) as process:
        wait_for(lambda: listens(COMMON) or process.poll() is not None, "a socket")
        assert process.poll() is None, process.communicate()
        yield process


def status() -> dict[str, object]:
    """The document of the run that has the path."""
    document = json.loads(ask(COMMON, "status json", PATIENCE))
    assert isinstance(document, dict)
    return document


def used() -> int:
    """Bytes of its working set."""
    memory = status()["memory"]
    assert isinstance(memory, dict)
    return int(memory["working_set"])


QUICK = pytest.mark.kernels("6.1")
FIRST, *OTHERS = TOOLS


@pytest.mark.parametrize("tool", [FIRST, *(pytest.param(tool, marks=QUICK) for tool in OTHERS)])
def test_status_and_stop_work_with(tool: str) -> None:
    """Each tool at the real path: leaf and limits as the kernel has them, and the stop."""
    with holding("8M", "--limit", "64M", "--name", "job") as process:
        lines = dict(line.split(None, 1) for line in piped(tool, COMMON, "status").splitlines())
        assert (lines["name"], lines["backend"], lines["limit"]) == (
            "job",
            "cgroup",
            "64M of workingset",
        )
        leaf = status()["leaf"]
        assert [leaf] == leaves()
        assert piped(tool, COMMON, "stop").startswith("stopping job: sent SIGTERM")
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert "stopped: asked for by uid 0" in said
    assert leaves() == []
    assert not os.path.lexists(COMMON)


@QUICK
def test_the_limit_moves_in_the_kernel_and_lowering_it_stops() -> None:
    """Raised: memory.high says so. Under the present working set: the same two-step stop."""
    with holding("24M", "--limit", "64M") as process:
        wait_for(lambda: used() > 24 * MIB, "the victim to have grown")
        leaf = str(status()["leaf"])
        assert ask(COMMON, "limit 72M", PATIENCE) == "limit 72M\n"
        wait_for(lambda: high(leaf) == 72 * MIB, "memory.high")
        assert ask(COMMON, "limit 16M", PATIENCE) == "limit 16M\n"
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 124
    assert "soft-limit" in said or "soft limit" in said


def high(leaf: str) -> int:
    """Bytes of memory.high."""
    with open(os.path.join(leaf, "memory.high"), encoding="ascii") as file:
        text = file.read().strip()
    return -1 if text == "max" else int(text)


@QUICK
def test_freeze_and_thaw_are_the_leaf_s() -> None:
    """A frozen run answers, and one that is stopped is thawed first."""
    with holding("8M", "--limit", "64M") as process:
        leaf = str(status()["leaf"])

        def frozen() -> bool:
            with open(os.path.join(leaf, "cgroup.events"), encoding="ascii") as file:
                return "frozen 1" in file.read()

        assert ask(COMMON, "freeze", PATIENCE).startswith("frozen ")
        wait_for(frozen, "the leaf to be frozen")
        assert status()["frozen"] is True
        assert ask(COMMON, "stop", PATIENCE).startswith("stopping ")
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 143


@QUICK
def test_nobody_connected_is_no_wake_up() -> None:
    """Neither for the run that has the path, which was asked before, nor for the one that waits."""
    with holding("8M", "--limit", "64M") as first, holding("8M", "--limit", "64M") as second:
        guards = (first.pid, second.pid)
        wait_for(lambda: status()["runs"] == 2, "two runs")
        wait_for(lambda: all(settled(pid) for pid in guards), "quiet guards")
        before = [switches(pid) for pid in guards]
        end = time.monotonic() + QUIET
        while time.monotonic() < end:
            time.sleep(0.5)
        assert [switches(pid) for pid in guards] == before
        first.kill()
        first.communicate()
        wait_for(lambda: switches(second.pid) > before[1] and answers(), "the successor")
        assert ask(COMMON, "kill", PATIENCE).startswith("killing ")
        second.communicate(timeout=PATIENCE)


def answers() -> bool:
    """Whether anybody does at the path."""
    try:
        return ask(COMMON, "ping", PATIENCE) == "pong\n"
    except ControlError:
        return False


@QUICK
def test_two_thousand_random_lines_cost_nothing() -> None:
    """No crash, no memory, no descriptor; the run has not noticed, and a kill still works."""
    with holding("8M", "--limit", "64M") as process:
        assault(COMMON, 600, 1)
        settled = weight(process.pid)
        assert assault(COMMON, 1400, 2) > 0.8 * 1400
        wait_for(
            lambda: weight(process.pid).descriptors <= settled.descriptors,
            "the last connections to be closed",
        )
        assert weight(process.pid).memory < settled.memory + 2 * MIB
        document = status()
        assert (document["state"], document["verdict"]) == ("watching", None)
        main = document["pid"]
        assert isinstance(main, int)
        assert alive(main)
        assert ask(COMMON, "kill", PATIENCE).startswith("killing ")
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 137

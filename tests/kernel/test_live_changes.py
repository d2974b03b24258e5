"""Changing a run that goes on, over its socket, on a real kernel."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sentinel.control.client import ask, stream
from tests.kernel.guarded import PATIENCE, guard, leaves, listens, victim_words, wait_for

MIB = 1 << 20


class Live:
    """A run that goes on, and its socket."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self.socket = str(folder / "socket")
        self._document = folder / "outcome"
        wait_for(lambda: listens(self.socket), "the socket")

    def ask(self, line: str) -> str:
        """One line, one answer."""
        return ask(self.socket, line, PATIENCE).rstrip("\n")

    def status(self) -> dict[str, Any]:
        """The status as a document."""
        found: dict[str, Any] = json.loads(self.ask("status json"))
        return found

    def file(self, name: str) -> str:
        """A file of its leaf."""
        (leaf,) = leaves()
        return (Path(leaf) / name).read_text().strip()

    def holds(self, size: int) -> None:
        """Wait until its working set is that large."""
        wait_for(lambda: (self.status()["memory"] or {}).get("working_set", 0) >= size, "its size")

    def outcome(self) -> dict[str, Any]:
        """How it ended."""
        self._process.communicate(timeout=PATIENCE)
        found: dict[str, Any] = json.loads(self._document.read_text())
        return found


@contextmanager
def live(folder: Path, command: list[str], *options: str) -> Iterator[Live]:
    """A run with a socket; nothing of it is left at the end."""
    words = ["--socket", f"{folder}/socket", "--json", f"{folder}/outcome", *options]
    process = guard(words, command)
    try:
        yield Live(process, folder)
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=PATIENCE)
    assert leaves() == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a socket can be: on a real file system of the guest."""
    return tmp_path


@pytest.mark.kernels("6.1")
def test_lowering_the_limit_under_the_working_set_stops_the_run(folder: Path) -> None:
    """The same two steps as for a leak."""
    with live(folder, victim_words("hold", "size=80M", "seconds=500"), "--limit", "200M") as run:
        run.holds(80 * MIB)
        assert run.ask("limit 48M") == "limit 48M"
        outcome = run.outcome()
        assert (outcome["verdict"], outcome["exit_status"]) == ("soft-limit", 124)
        assert outcome["limits"]["soft"] == 48 * MIB
        assert outcome["survivors_killed"] == 0


def test_lowering_the_limit_under_the_page_cache_harms_nobody(folder: Path, scratch: str) -> None:
    """The wire comes down in bites while the guard goes on answering; the reader reads on."""
    words = victim_words("read", f"file={scratch}/data", "size=128M", "seconds=500")
    with live(folder, words, "--limit", "400M") as run:
        wait_for(lambda: int(run.file("memory.current")) >= 100 * MIB, "page cache")
        assert run.ask("limit 32M") == "limit 32M"
        wait_for(lambda: run.file("memory.high") == str(32 * MIB), "the wire at its place")
        wait_for(lambda: int(run.file("memory.current")) <= 34 * MIB, "less memory")
        assert run.status()["state"] == "watching"
        run.ask("stop")
        assert run.outcome()["verdict"] == "stopped"


@pytest.mark.kernels("6.1")
def test_a_limit_above_the_wall_raises_the_wall(folder: Path) -> None:
    """Both are in the kernel's files."""
    with live(folder, victim_words("hold", "seconds=500"), "--limit", "64M") as run:
        assert run.ask("limit 256M") == "limit 256M, hard limit raised to 384M"
        assert run.file("memory.high") == str(256 * MIB)
        assert run.file("memory.max") == str(384 * MIB)
        run.ask("kill")
        outcome = run.outcome()
        assert (outcome["verdict"], outcome["exit_status"]) == ("killed", 137)
        assert outcome["asked_by"] == f"uid {os.getuid()}"


def test_a_frozen_leaker_grows_no_more_and_is_thawed_to_be_stopped(folder: Path) -> None:
    """Its handler runs, although it was frozen when it was asked to stop."""
    words = victim_words(
        "leak", "rate=4M", "max=350M", f"checkpoint={folder}/saved", "handler=1M", "seconds=500"
    )
    with live(folder, words, "--limit", "400M") as run:
        run.holds(8 * MIB)
        assert run.ask("freeze").startswith("frozen ")
        wait_for(lambda: "frozen 1" in run.file("cgroup.events"), "a standstill")
        before = run.file("memory.current")
        assert run.status()["frozen"]
        # Not to the byte: what a CPU has charged ahead may be given back at any time.
        assert int(run.file("memory.current")) <= int(before) + MIB
        assert run.ask("stop").startswith("stopping ")
        assert run.outcome()["verdict"] == "stopped"
        assert os.path.getsize(folder / "saved") == MIB


def test_reclaim_frees_page_cache(folder: Path, scratch: str) -> None:
    """And its end is an event."""
    words = victim_words("read", f"file={scratch}/data", "size=64M", "seconds=500")
    with live(folder, words, "--limit", "400M") as run:
        wait_for(lambda: int(run.file("memory.current")) >= 64 * MIB, "page cache")
        run.ask("freeze")
        wait_for(lambda: "frozen 1" in run.file("cgroup.events"), "a standstill")
        events = stream(run.socket, "events", PATIENCE)
        assert json.loads(next(events))["event"] == "hello"
        assert run.ask("reclaim 32M").startswith("reclaiming 32M of ")
        next(line for line in events if json.loads(line)["event"] == "reclaimed")
        assert int(run.file("memory.current")) <= 40 * MIB

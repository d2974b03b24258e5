"""The leaker of the demo: it leaks as it says, ends by itself, and keeps its word on SIGTERM."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import leaker
from tests.victims.running import running

pytestmark = pytest.mark.native
FULL = (
    "--max 1024 MiB was not reached, because only 40 MiB are left on this machine: "
    "give a smaller --max"
)
LEAKER = os.path.abspath(leaker.__file__)


def argv(*words: str) -> list[str]:
    """Argv of the leaker without anything of the test's interpreter."""
    return [sys.executable, "-I", LEAKER, *words]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the leaker to its end."""
    return subprocess.run(argv(*words), capture_output=True, text=True, timeout=120, check=False)


def test_ends_at_max() -> None:
    """It prints the MiB of each step and exits 0 at --max."""
    result = run("--rate", "80", "--max", "50M")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "leaker: 16 MiB",
        "leaker: 32 MiB",
        "leaker: 48 MiB",
        "leaker: 50 MiB",
        "leaker: reached --max 50 MiB, done",
    ]


def test_bare_sizes_are_mebibytes() -> None:
    """A --max without a suffix means MiB."""
    assert run("--rate", "1000", "--max", "3").stdout.splitlines()[-1] == (
        "leaker: reached --max 3 MiB, done"
    )


def resident(pid: int) -> int:
    """Anonymous resident memory of `pid` in bytes."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) << 10
    return 0


def test_pages_are_touched() -> None:
    """What it says it holds is resident."""
    with running(argv("--rate", "400", "--max", "400")) as victim:
        victim.wait_start("leaker: 64 MiB")
        assert resident(victim.pid) >= 64 << 20


@pytest.mark.parametrize("times", [1, 2])
def test_writes_checkpoint(tmp_path: Path, times: int) -> None:
    """SIGTERM, even twice, writes what was reached, whole and under its own name, then exits 0."""
    path = tmp_path / "state.json"
    with running(argv("--rate", "40", "--checkpoint", str(path))) as victim:
        victim.wait_start("leaker: ")
        for _ in range(times):
            victim.process.send_signal(signal.SIGTERM)
        assert victim.wait_end() == 0
    held = json.loads(path.read_text())["held_bytes"]
    assert held >= 10 << 20
    assert victim.lines[-1] == f"leaker: checkpoint of {held >> 20} MiB written to {path}"
    assert os.listdir(tmp_path) == ["state.json"]


def test_dies_of_sigterm_without_checkpoint() -> None:
    """Without --checkpoint SIGTERM keeps its default action."""
    with running(argv()) as victim:
        victim.wait_start("leaker: ")
        victim.process.send_signal(signal.SIGTERM)
        assert victim.wait_end() == -signal.SIGTERM


@pytest.mark.parametrize(
    ("left", "held", "reason"),
    [
        (40 << 20, 32, FULL),
        (None, 0, "/proc/meminfo does not say how much memory is left"),
    ],
)
def test_stops_before_the_machine_is_full(
    monkeypatch: pytest.MonkeyPatch, left: int | None, held: int, reason: str
) -> None:
    """It refuses to hold more than is left, and to grow when nobody knows what is left."""
    monkeypatch.setattr(leaker, "available", lambda: left)
    blocks: list[bytes] = []
    assert leaker.leak(blocks, 100_000, 1024) == reason
    assert sum(map(len, blocks)) == held << 20


@pytest.mark.parametrize(
    "words",
    [
        ("--rate", "0"),
        ("--rate", "-5"),
        ("--rate", "fast"),
        ("--max", "nan"),
        ("--max", "1e400"),
        ("--max", ""),
        ("--max",),
        ("--checkpoint", "/nowhere/at/all"),
        ("--checkpoint", "/"),
        ("--ra", "5"),
        ("more",),
    ],
)
def test_bad_argument_is_one_line(words: tuple[str, ...]) -> None:
    """A bad argument is one line on stderr and status 2, and nothing is leaked."""
    result = run(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("leaker: ")
    assert result.stderr.count("\n") == 1
    assert words[-1] in result.stderr

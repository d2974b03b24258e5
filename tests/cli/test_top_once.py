"""`sentinel top` where there is no terminal: one plain table of real runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cli.private import guarded
from tests.lab import ROOT

LONG = 90.0


def top(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `sentinel top` with its output in a pipe."""
    return subprocess.run(
        [sys.executable, "-m", "tests.cli.private", str(directory), "top", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )


def test_no_run(tmp_path: Path) -> None:
    """It is said, and is no fault."""
    done = top(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "no run is live\n", "")


def test_a_real_run_in_a_pipe(tmp_path: Path) -> None:
    """One line for it below a heading, without colours, and the end."""
    options = ("--name", "sleeper", "--limit", "300M")
    with guarded(str(tmp_path), *options, command=["sleep", "600"]):
        for words in ((), ("--once",)):
            done = top(tmp_path, *words)
            heading, line = done.stdout.splitlines()
            assert heading.split()[:3] == ["NAME", "STATE", "USED"]
            assert line.split()[:2] == ["sleeper", "watching"]
            assert " 300M " in line
            assert (done.returncode, done.stderr) == (0, "")


def test_the_library_of_the_dashboard_is_loaded_by_nobody_else(tmp_path: Path) -> None:
    """Neither the guard, nor the process that keeps the output, pays for rich."""
    program = (
        "import sys; from sentinel.commands import dashboarded, exec; "
        "from sentinel.dashboard import keeper, stage, suspension; "
        "sys.exit(any(name in sys.modules for name in ('rich', 'pyte', 'click')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env={"HOME": str(tmp_path)}, check=False
    )
    assert done.returncode == 0

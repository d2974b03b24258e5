"""The benchmarks run: the shortest row, measured natively, arrives in a file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import ROOT

pytestmark = pytest.mark.native


def test_a_row_is_measured(tmp_path: Path) -> None:
    """A quick look at the launch measures every contestant twice and says so."""
    path = tmp_path / "results.json"
    argv = [sys.executable, "-m", "benchmarks", "--native", "--quick", "--only", "launch"]
    result = subprocess.run(
        [*argv, "--json", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    (record,) = json.loads(path.read_text(encoding="ascii"))
    (row,) = record["rows"]
    assert (record["site"], row["row"], row["failure"]) == ("native", "launch", "")
    assert [len(line["subject"]["values"]) for line in row["lines"]] == [2, 2, 2]
    assert "python3 -I -c pass" in result.stdout


def test_a_quick_look_is_not_recorded() -> None:
    """--write with --quick is one line and status 2."""
    argv = [sys.executable, "-m", "benchmarks", "--quick", "--write"]
    result = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "--write records what was measured in full: leave out --quick\n"

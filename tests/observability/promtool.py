"""promtool's view of the rules: unit tests that are written by others here, and run by it."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from tests.lab import ROOT
from tests.observability import programs

RULES = [os.path.join(ROOT, "prometheus/rules", name) for name in ("floors.yml", "alerts.yml")]
SECONDS = 120

Series = Mapping[str, str]
"""Values in promtool's notation by what the series is called."""


def told(*argv: str) -> str:
    """What promtool says; it must not refuse. Returns all of its output."""
    argv = (programs.path("promtool"), *argv)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def case(series: Series, **what: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One test of promtool: some series, and what is to come of them."""
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    return {"input_series": inputs, **what}


def passes(directory: str, case: Mapping[str, Any], step: int = 1) -> None:
    """Let promtool try the project's rules on series with a value every `step` minutes."""
    every = f"{step}m"
    test = {"interval": every, **case}
    path = os.path.join(directory, "cases.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"rule_files": RULES, "evaluation_interval": every, "tests": [test]}, file)
    told("test", "rules", path)

"""docker-compose.yml as docker-compose reads it."""

import os
import subprocess
from typing import Any

import yaml

from tests.lab import ROOT

PATH = os.path.join(ROOT, "docker-compose.yml")
SECONDS = 60


def merged() -> dict[str, Any]:
    """The services as `docker-compose config` (1.29) understands them; it must not refuse."""
    argv = ["docker-compose", "--file", PATH, "config"]
    done = subprocess.run(
        argv, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return dict(yaml.safe_load(done.stdout))


def service(name: str) -> dict[str, Any]:
    """One service as it is written."""
    with open(PATH, encoding="utf-8") as file:
        return dict(yaml.safe_load(file)["services"][name])

"""What the README says under Install, typed by an ordinary user who has just logged in.

There is no network in the guest. So the libraries that Sentinel needs, and the setuptools that
builds it, are those of the tests' own environment, by PYTHONPATH; pip is told to ask for nothing.
The checkout is a copy that belongs to the user, as a clone would, and `python3` is the tests'
interpreter. Apart from that the lines are the README's own, letter by letter.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.docs.pages import Page
from tests.lab import ROOT
from tests.lab.login import as_user
from tests.lab.systemd import UID, USER_HOME
from tests.systemd.runs import nothing_is_left

CHECKOUT = f"{USER_HOME}/checkout"
WANTED = ("sentinel", "pyproject.toml", "README.md", "LICENSE", "tests/leaker.py")
OFFLINE = {
    "PATH": f"{os.path.dirname(os.path.realpath(sys.executable))}:/usr/bin:/bin",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_BUILD_ISOLATION": "false",  # pip reads it as the value of --build-isolation
    "PIP_NO_COMPILE": "1",
    "PIP_NO_DEPS": "1",
    "PIP_NO_INDEX": "1",
    "PYTHONDONTWRITEBYTECODE": "",
    "PYTHONPATH": sysconfig.get_path("purelib"),
}


def lines() -> list[str]:
    """The lines below the heading, as they are to be typed."""
    text = Path(ROOT, "README.md").read_text(encoding="utf-8")
    section = text.partition("\n## Install\n")[2].partition("\n## ")[0]
    return Page("README.md", section).commands()


@pytest.fixture
def checkout() -> str:
    """Give the user a copy of what there is to install and to run."""
    for name in WANTED:
        source, target = os.path.join(ROOT, name), os.path.join(CHECKOUT, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(source):
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    subprocess.run(["chown", "-R", f"{UID}:{UID}", CHECKOUT], check=True)
    return CHECKOUT


@pytest.mark.limit(600)
def test_install_and_run(checkout: str) -> None:
    """Every line works; the leak is stopped politely in a cgroup, with nothing configured."""
    *install, run = lines()
    assert install[0].startswith("python3 -m venv ")
    typed("set -e", *install, cwd=checkout, status=0)
    # A machine that has much else to do may need more than the 3 s that there are by default.
    stderr = typed(
        "export SENTINEL_GRACE=60s", f"{run} --checkpoint ~/state", cwd=checkout, status=124
    )
    asked, told = stderr.splitlines()
    assert "is over the 200M limit" in asked
    assert ": sent SIGTERM, " in asked
    assert told.startswith("sentinel: python3: soft-limit: working set ")
    assert json.loads(Path(USER_HOME, "state").read_text(encoding="utf-8"))
    nothing_is_left()


def typed(*words: str, cwd: str, status: int) -> str:
    """What the user's shell said on stderr to these lines, which end with `status`."""
    variables = [f"export {name}={value!r}" for name, value in OFFLINE.items()]
    argv = as_user(["sh", "-c", "\n".join([*variables, *words])], cwd=cwd)
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == status, done
    return done.stderr

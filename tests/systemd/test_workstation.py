"""The workstation's way, in a real container: a leaf of its own, scraped and asked from outside."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.kernel.guarded import PATIENCE, SENTINEL, wait_for
from tests.lab import ROOT
from tests.lab.container import Container, container
from tests.lab.systemd import UID

PORT = 8000
SOCKET = "/tmp/sentinel.socket"
NOBODY = 65534
ASK = """import socket, sys
asked = socket.socket(socket.AF_UNIX)
asked.connect(sys.argv[1])
asked.sendall(sys.argv[2].encode() + b"\\n")
print(asked.makefile().read(), end="")
"""


def environment() -> dict[str, str]:
    """What the compose file sets for the workstation, and the uid that its wrapper adds."""
    with open(os.path.join(ROOT, "docker-compose.yml"), encoding="utf-8") as file:
        made: dict[str, Any] = yaml.safe_load(file)["services"]["sentinel"]
    return {**made["environment"], "SENTINEL_ALLOW_UIDS": str(UID)}


@contextlib.contextmanager
def workstation(line: str) -> Iterator[Container]:
    """A shell's line in a privileged container that shares /tmp and the network."""
    words = [f"{name}={value}" for name, value in environment().items()]
    path = f"PATH={os.path.dirname(SENTINEL)}:{os.environ['PATH']}"
    argv = ["env", path, "SENTINEL_METRICS_LINGER=1s", *words, "sh", "-c", line]
    with container("privileged", argv, shared=("/tmp",)) as running:
        yield running


def asked(line: str, uid: int) -> str:
    """What the well-known socket answers to a process of the host that is `uid`'s."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", ASK, SOCKET, line],
        user=uid,
        group=uid,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout or done.stderr


def scraped_memory() -> str:
    """The exporter's page as it is seen outside; empty while there is none, or no memory on it."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=PATIENCE) as page:
            text = str(page.read().decode())
    except OSError:
        return ""
    return text if "sentinel_memory_anon_bytes{" in text else ""


def test_a_leak_in_the_workstation_is_stopped_by_its_own_leaf() -> None:
    """Scraped and asked from outside while it grows; at 200 MiB its leaf asks it to stop."""
    with workstation("sentinel python3 tests/leaker.py --rate 12") as running:
        wait_for(lambda: "watching" in asked("status", UID), "an answer to the second user")
        assert asked("status", NOBODY).startswith("error: not permitted")
        page = wait_for(scraped_memory, "a page with memory")
        stdout, stderr = running.process.communicate(timeout=PATIENCE)
    assert 'backend="cgroup"' in page
    assert "sentinel_memory_hard_limit_bytes{" in page
    assert running.process.returncode == 124, stderr
    (last,) = [line for line in stderr.splitlines() if "soft-limit" in line]
    assert last.startswith("sentinel: python3: soft-limit: working set 20")
    assert "leaker: 192 MiB" in stdout


@pytest.mark.parametrize("word", ["stop", "kill"])
def test_a_run_in_the_workstation_is_ended_from_outside(word: str) -> None:
    """The second, allowed user ends the run through the shared directory; nothing is left."""
    leaves = "find /sys/fs/cgroup -name 'sentinel-run-*'"
    line = shlex.join(["sentinel", "python3", "tests/leaker.py", "--rate", "1"])
    with workstation(f"{line} >/dev/null; echo $?; {leaves}") as running:
        wait_for(lambda: "watching" in asked("status", UID), "an answer to the second user")
        assert not asked(word, UID).startswith("error")
        stdout, stderr = running.process.communicate(timeout=PATIENCE)
    assert stdout.splitlines() == [{"stop": "143", "kill": "137"}[word]], stderr

"""Run `sentinel exec` on a real kernel and read what it said: the harness of the kernel tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sentinel.linux.sockets import connect
from sentinel.model.errors import KernelFileError
from tests.victims.build import victim

SENTINEL = os.path.join(os.path.dirname(sys.executable), "sentinel")
PATIENCE = 240.0
"""Seconds after which a test gives up: only a hang takes so long, on an emulated CPU that others
want as well."""
T = TypeVar("T")
LEAF_PREFIX = "sentinel-run-"


@dataclass
class Ended:
    """A finished `sentinel exec`: its status, its words, its JSON document, the leaves left."""

    status: int
    stdout: str
    stderr: str
    document: dict[str, Any]
    leaves: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """The verdict of the document."""
        return str(self.document["verdict"])

    def moment(self, what: str) -> dict[str, Any] | None:
        """The first line of the timeline that tells `what`."""
        for line in self.document["timeline"]:
            if line["what"] == what:
                return dict(line)
        return None

    @property
    def asked(self) -> bool:
        """Whether anybody got the polite signal."""
        return self.moment("asked to stop") is not None

    @property
    def overshoot(self) -> float:
        """memory.current over the soft limit when SIGTERM was sent, as a fraction of the limit."""
        moment = self.moment("asked to stop")
        assert moment is not None, self.document
        return float(moment["current"]) / float(self.document["limits"]["soft"]) - 1


def own_directory() -> str:
    """The cgroup directory of this process."""
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        path = next(line[3:].strip() for line in file if line.startswith("0::"))
    return ("/sys/fs/cgroup" + path).rstrip("/")


def leaves(top: str | None = None) -> list[str]:
    """Every leaf of a run below `top`, own cgroup by default."""
    return sorted(
        os.path.join(directory, name)
        for directory, names, _ in os.walk(top or own_directory())
        for name in names
        if name.startswith(LEAF_PREFIX)
    )


def victim_words(mode: str, *options: str) -> list[str]:
    """The command line of a victim."""
    return [victim(), mode, *options]


def guard(
    options: list[str], command: list[str], stdin: int | None = None
) -> subprocess.Popen[str]:
    """Start `sentinel exec` with `options` on `command`, its output captured."""
    return subprocess.Popen(
        [SENTINEL, "exec", "--backend", "cgroup", *options, "--", *command],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(options: list[str], command: list[str], document: str, stdin: int | None = None) -> Ended:
    """Run `sentinel exec` to its end. `document` is a path for its JSON."""
    process = guard(["--json", document, *options], command, stdin)
    try:
        stdout, stderr = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    with open(document, encoding="utf-8") as file:
        found = json.load(file)
    os.unlink(document)
    return Ended(process.returncode, stdout, stderr, found, leaves())


class PastReady:
    """Runs with a --timeout that comes after the victim is ready, however slow the machine is."""

    def __init__(self) -> None:
        self.seconds = 1

    def run(self, options: list[str], command: list[str], document: str) -> Ended:
        """Run; again, and from then on, with more time if the victim has not said `ready`."""
        while self.seconds < PATIENCE:
            ended = run([*options, "--timeout", f"{self.seconds}s"], command, document)
            if "ready" in ended.stdout:
                return ended
            self.seconds *= 2
        raise AssertionError(f"never ready: {ended}")


def forget(path: str) -> None:
    """Drop a file's cached pages: a leaf is charged for those only that it brings in itself."""
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def wait_for(condition: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """Poll until `condition` is true; its value. Fails by name when it never is."""
    end = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.01)


def listens(path: str) -> bool:
    """Whether somebody listens on the socket `path`: it is there a moment sooner (bind(2))."""
    try:
        connect(path).close()
    except KernelFileError:
        return False
    return True


def read(path: str) -> str:
    """Text of a small file; empty when it is not there (yet)."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def alive(pid: int) -> bool:
    """Whether `pid` lives; zombies do not."""
    stat = read(f"/proc/{pid}/stat")
    return bool(stat) and stat.rpartition(")")[2].split()[0] not in "ZX"


@contextmanager
def ended_at_last(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Make sure that `process` is over when the test is."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()

"""The command is taken by the OOM killer before its guard."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

SENTINEL = os.path.join(os.path.dirname(sys.executable), "sentinel")
FILE = "/proc/self/oom_score_adj"
SCRIPT = """
import os, sys
from sentinel.linux import oomscore
with open("/proc/self/oom_score_adj", "w") as file: file.write(sys.argv[1])
if len(sys.argv) > 2: oomscore._FILE = sys.argv[2]
oomscore.volunteer()
print(open("/proc/self/oom_score_adj").read().strip(), len(os.listdir("/proc/self/fd")))
"""


def volunteer(before: int, *more: str) -> str:
    """The score of a process that had `before` and volunteered, and its open descriptors."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(before), *more],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(("before", "after"), [(0, 200), (150, 350), (900, 1000), (1000, 1000)])
def test_the_score_is_raised_and_never_above_the_most(before: int, after: int) -> None:
    """By a fifth, from wherever it was."""
    assert volunteer(before) == f"{after} 4"


@pytest.mark.parametrize("where", ["/nowhere", "/dev/null", "/proc/self/status"])
def test_where_it_cannot_be_raised_nothing_happens(where: str) -> None:
    """A file that is missing, says nothing, or cannot be written."""
    assert volunteer(0, where) == "0 4"


def test_the_command_has_the_raised_score(run_guarded: Callable[..., str]) -> None:
    """In the command itself, before its first instruction."""
    with open(FILE, encoding="ascii") as file:
        own = int(file.read())
    assert int(run_guarded("cat", FILE)) == min(1000, own + 200)


@pytest.fixture
def run_guarded() -> Callable[..., str]:
    """Run a command under Sentinel; its output."""

    def run(*command: str) -> str:
        words = [SENTINEL, "exec", "--backend", "rss", "-q"]
        done = subprocess.run(
            [*words, "--limit", "64M", "--", *command], capture_output=True, text=True, check=True
        )
        return done.stdout

    return run


@pytest.mark.parametrize("more", [0, 300])
def test_sentinels_own_score_stays_what_it_was_given(more: int) -> None:
    """Whoever set it meant it, and root's right to lower it is not used: the raise is enough."""
    with open(FILE, encoding="ascii") as file:
        given = min(800, int(file.read()) + more)
    read = ["sh", "-c", "cat /proc/$PPID/oom_score_adj /proc/self/oom_score_adj"]
    words = [SENTINEL, "exec", "--backend", "rss", "-q", "--limit", "64M", "--", *read]
    script = f'echo {given} >{FILE} && exec "$@"'
    done = subprocess.run(["sh", "-c", script, "sh", *words], capture_output=True, check=True)
    assert done.stdout.split() == [b"%d" % given, b"%d" % (given + 200)]

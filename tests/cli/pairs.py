"""Run a command with Sentinel and without: what it does without is the specification."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tests.cli.terminal import ENVIRONMENT, SENTINEL
from tests.victims.build import victim

GUARDED = [SENTINEL, "exec", "-q", "--"]
LIMIT = 120.0
"""Seconds after which a run that should be over has hung."""


class Done(NamedTuple):
    """A finished run: the status that a shell shows for it, and what it wrote."""

    status: int
    stdout: bytes
    stderr: bytes


def shell_status(code: int) -> int:
    """The status that a shell shows for a wait status of Popen's: 128+n for signal n."""
    return code if code >= 0 else 128 - code


def run(argv: Sequence[str | bytes], **popen: Any) -> Done:
    """Run `argv` to its end, in an environment of few words."""
    settings = {"env": ENVIRONMENT, "capture_output": True, "timeout": LIMIT, **popen}
    done = subprocess.run(argv, check=False, **settings)
    return Done(shell_status(done.returncode), done.stdout, done.stderr)


def alike(argv: Sequence[str | bytes], **popen: Any) -> Done:
    """What `argv` does, which must be the same with Sentinel and without."""
    plain, guarded = run(argv, **popen), run([*GUARDED, *argv], **popen)
    assert guarded == plain
    return guarded


OURS = ("pid", "ppid", "cgroup", "oom_score_adj", "parent_death_signal")
"""What a guarded command may see otherwise than without Sentinel."""


def state(
    prepare: Callable[[], object] | None = None, *words: bytes, **popen: Any
) -> dict[str, Any]:
    """What a command is born with after `prepare`, which must be the same with Sentinel."""
    argv = [os.fsencode(victim()), b"state", *words]
    plain, guarded = (
        parse_state(run([*guard, *argv], preexec_fn=prepare, **popen).stdout)
        for guard in ([], GUARDED)
    )
    assert guarded == plain
    return guarded


def parse_state(text: bytes) -> dict[str, Any]:
    """What `victim state` wrote, but for what is ours, and for the inodes of our pipes."""
    found: dict[str, Any] = json.loads(text)
    for one in found["fds"].values():
        one["target"] = re.sub(rb":\[\d+\]", b"", bytes.fromhex(one["target"]))
    return {key: value for key, value in found.items() if key not in OURS}

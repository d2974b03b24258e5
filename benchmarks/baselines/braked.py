"""The naive design: memory.high as the limit, SIGTERM at its first event, and the wire left alone.

As quick as Sentinel to notice and quicker to signal, since it asks no questions; but the handler
then runs with the brake on.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Sequence

from benchmarks.baselines.leaf import plain_leaf, start
from benchmarks.processes import PATIENCE
from tests.kernel import cgroupfs

NAME = "memory.high left in place"


def run(command: Sequence[str], soft: int, hard: int, grace: float) -> None:
    """Guard `command` with limits in bytes and `grace` seconds from SIGTERM to cgroup.kill."""
    with plain_leaf({"memory.high": soft, "memory.max": hard}) as leaf:
        events = os.open(os.path.join(leaf, "memory.events.local"), os.O_RDONLY)
        try:
            process = start(leaf, command, subprocess.DEVNULL)
            ended = os.pidfd_open(process.pid)
            if await_high(events, ended, PATIENCE):
                process.terminate()
                if not select.select([ended], [], [], grace)[0]:
                    cgroupfs.write(leaf, "cgroup.kill", "1")
            process.wait()
            os.close(ended)
        finally:
            os.close(events)


def await_high(events: int, ended: int, seconds: float) -> bool:
    """Wait for the first `high` event of an open memory.events.local; False when `ended` first."""
    deadline = time.monotonic() + seconds
    poll = select.poll()
    poll.register(events, select.POLLPRI)
    poll.register(ended, select.POLLIN)
    while b"high 0\n" in os.pread(events, 4096, 0):
        left = deadline - time.monotonic()
        ready = [fd for fd, _ in poll.poll(max(0.0, left) * 1000)]
        if left <= 0:
            raise TimeoutError(f"no high event within {seconds:g} s")
        if events not in ready and ended in ready:
            return False
    return True

"""A program that starts one command through the linux room, and tells what came of it.

    python launcher.py ORDER       ORDER: JSON, see Order

Writes one JSON line to the descriptor `report`: {"pid", "received"} once the command runs,
then {"exited"} or {"signalled"}; or {"error", "remedy", "exit_status"} when it did not start.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from sentinel.linux.loop import Loop
from sentinel.linux.process import reap
from sentinel.linux.signals import SignalDesk
from sentinel.linux.spawn import spawn
from sentinel.model.errors import KernelFileError, StartError
from sentinel.model.outcome import Exited
from sentinel.model.spec import Command


def say(fd: int, **words: object) -> None:
    """One line to the test."""
    os.write(fd, json.dumps(words).encode() + b"\n")


def entering(order: dict[str, Any]) -> None:
    """What the forked child does before it becomes the command."""
    how = order.get("enter", "")
    if how == "refused":
        raise KernelFileError("write", "/a/cgroup.procs", 16, value="0", remedy="look there")
    if how == "long":
        raise KernelFileError("write", "/" + "x" * 5000, 16, value="0", remedy="look there")
    if how == "broken":
        raise ValueError("of no use")
    if how == "orphan":
        os.kill(os.getppid(), signal.SIGKILL)


def main() -> int:
    """Start, wait, tell."""
    order = json.loads(sys.argv[1])
    report: int = order["report"]
    os.set_inheritable(report, False)
    command = Command(
        tuple(bytes.fromhex(word) for word in order["argv"]),
        tuple(bytes.fromhex(word) for word in order["environment"]),
    )
    desk = SignalDesk()
    for number in order.get("send", []):
        os.kill(os.getpid(), number)
    try:
        child = spawn(command, lambda: entering(order), desk, order.get("death_signal", 15))
    except StartError as error:
        say(report, error=error.message, remedy=error.remedy, exit_status=error.exit_status)
        return 0
    received = [signalled.number for signalled in desk.read()]
    say(report, pid=child.pid, received=[number for number in received if number != 17])
    loop = Loop()
    loop.watch(desk.fd, desk)
    while True:
        for ended in reap():
            if ended.pid == child.pid and ended.status is not None:
                status = ended.status
                if isinstance(status, Exited):
                    say(report, exited=status.code)
                else:
                    say(report, signalled=status.signal)
                return 0
        loop.wait(None)
        desk.read()


if __name__ == "__main__":
    sys.exit(main())

"""A program that reads its signals from a SignalDesk and tells of each; for the desk's tests.

    python listener.py REPORT_FD

One JSON line for each signal, with what Sentinel would make of it. USR2 ends it. A USR1 makes
it stop itself as for a command that TSTP stopped, a HUP from a process as for SIGSTOP.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from sentinel.linux.loop import Loop
from sentinel.linux.signals import (
    Received,
    SignalDesk,
    is_forwarded,
    means_now,
    reaches_whole_group,
)


def main() -> int:
    """Listen."""
    report = int(sys.argv[1])
    desk, loop = SignalDesk(), Loop()
    loop.watch(desk.fd, desk)

    def say(**words: object) -> None:
        os.write(report, json.dumps(words).encode() + b"\n")

    def act(received: Received) -> None:
        for number, stop in ((signal.SIGUSR1, signal.SIGTSTP), (signal.SIGHUP, signal.SIGSTOP)):
            if received.number == number and not received.by_kernel:
                say(stop_self=desk.stop_self(stop))

    say(pid=os.getpid())
    while True:
        loop.wait(None)
        for received in desk.read():
            say(
                **received._asdict(),
                group=reaches_whole_group(received),
                forwarded=is_forwarded(received),
                now=means_now(received),
            )
            act(received)
            if received.number == signal.SIGUSR2:
                return 0


if __name__ == "__main__":
    sys.exit(main())

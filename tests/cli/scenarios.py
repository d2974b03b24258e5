"""What a person does at a shell: the same with Sentinel and without (`alike`), on any backend."""

from __future__ import annotations

import os
import re
import signal
from typing import NamedTuple

from tests.cli.terminal import Shell, Size, Terminal

BEGUN = 'echo be""gun'
"""Says `begun` when it runs, not when it is echoed."""


class Heard(NamedTuple):
    """A signal as `victim signals` tells it."""

    name: str
    times: int
    from_kernel: bool


def heard(shell: Terminal) -> Heard:
    """The next signal that the victim tells of."""
    told = shell.expect(r"signal number=\d+ name=(\w+) count=(\d+) code=(-?\d+) ")
    return Heard(told[1], int(told[2]), int(told[3]) > 0)


def keys_and_signals(shell: Shell) -> list[Heard]:
    """All that reaches a command: keys, a new size of the window, signals of a process.

    USR1 after each shows that nothing came twice.
    """
    shell.type("$S $V signals")
    shell.expect(r"ready pid=\d+")
    leader = shell.foreground
    found = []
    for key in ("\x03", "\x1c", "\x1a"):
        shell.press(key)
        found.append(heard(shell))
        os.kill(leader, signal.SIGUSR1)
        found.append(heard(shell))
    shell.resize(Size(30, 100))
    found.append(heard(shell))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGWINCH):
        os.kill(leader, number)
        found.append(heard(shell))
        os.kill(leader, signal.SIGUSR1)
        found.append(heard(shell))
    os.kill(leader, signal.SIGUSR2)
    found.append(heard(shell))
    shell.prompt()
    return found


def interrupted_loop(shell: Shell) -> str:
    """Ctrl-C in a loop; what is shown until the prompt is back."""
    shell.type(f"for i in 1 2; do $S sh -c '{BEGUN}; exec sleep 60'; done; echo over")
    shell.expect("begun\r\n")
    shell.press("\x03")
    return shell.prompt()


def stop_and_go_on(shell: Shell) -> list[str]:
    """Ctrl-Z, jobs and fg of a pipeline, twice, while lines flow through it."""
    shell.type("cat | $S cat | cat")
    found = []
    for word in ("one", "two"):
        shell.press(f"{word}\n")
        shell.expect(f"{word}\r\n{word}\r\n")
        shell.press("\x1a")
        found += [shell.prompt(), shell.run("jobs")]
        shell.type("fg")
        shell.expect(re.escape("| cat\r\n"))
    shell.press("three\n")
    shell.expect("three\r\nthree\r\n")
    shell.press("\x04")
    return [*found, shell.prompt(), shell.run("echo $?")]

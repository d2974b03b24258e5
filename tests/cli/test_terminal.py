"""The guarded command keeps its terminal: what is seen on a pty is the same without Sentinel."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.cli.processes import members
from tests.cli.scenarios import BEGUN, Heard, keys_and_signals
from tests.cli.terminal import BASH, GUARD, PROMPT, Shell, Size, Terminal, alike, shell, terminal

GUARDS = pytest.mark.parametrize("guard", [[], GUARD.split()], ids=["plain", "guarded"])
"""For what must come true, by itself, in both cases."""


def test_an_interactive_shell() -> None:
    """Prompt, echo, line editing, job control, its exit status."""

    def screen(guard: list[str]) -> tuple[list[str], int]:
        with terminal([*guard, *BASH, "-i"]) as opened:
            at_prompt(opened, "")
            at_prompt(opened, "echo abd\x1b[Dc\x01\x1b[C\x05\n")
            at_prompt(opened, "echo wrong\x15echo right\x7f\x7fnow\n")
            at_prompt(opened, f"sh -c '{BEGUN}; exec sleep 60'\n", "begun\r\n")
            opened.press("\x1a")
            at_prompt(opened, "")
            inner = opened.foreground
            at_prompt(opened, "fg\n", "sleep 60'\r\n")
            opened.wait_for("the job", lambda: opened.foreground != inner)
            at_prompt(opened, "\x03")
            at_prompt(opened, "exit 7\n", "\rexit\r\n")
            status = opened.wait()
            return [line.rstrip() for line in opened.screen.display], status

    shown, status = screen(GUARD.split())
    assert (shown, status) == screen([])
    assert status == 7
    assert shown[:4] == ["ready$ echo abcd", "abcd", "ready$ echo rignow", "rignow"]


def at_prompt(opened: Terminal, keys: str, until: str = PROMPT) -> None:
    """Press `keys` and wait for the next prompt, or for `until`."""
    opened.press(keys)
    opened.expect(re.escape(until))


def test_raw_mode_and_what_is_left_of_it() -> None:
    """Single keys, Ctrl-C among them, reach the program; the modes are as it left them."""
    program = 'stty raw -echo; echo be""gun; dd bs=1 count=3 status=none | od -An -tx1; stty -raw'

    def scenario(bash: Shell) -> list[object]:
        bash.type(f"$S sh -c '{program}'")
        bash.expect("begun\n")
        raw = bash.modes
        bash.press("a")
        bash.press("\x03")
        bash.press("\x1a")
        keys = bash.expect("(( [0-9a-f]{2})+)")[1]
        bash.prompt()
        return [raw, keys, bash.modes]

    found = alike(scenario)
    assert found[1] == " 61 03 1a"
    assert found[0] != found[2]


def test_every_key_and_every_signal_arrives_exactly_once() -> None:
    """Keys and the window's size from the kernel, the rest from a process, each once."""
    keys = [Heard(name, 1, from_kernel=True) for name in ("INT", "QUIT", "TSTP")]
    marks = [Heard("USR1", count, from_kernel=False) for count in range(1, 9)]
    resized = Heard("WINCH", 1, from_kernel=True)
    sent = [
        Heard(name, 1 if name in ("TERM", "HUP") else 2, from_kernel=False)
        for name in ("INT", "TERM", "HUP", "TSTP", "WINCH")
    ]
    assert alike(keys_and_signals) == [
        *(heard for pair in zip(keys, marks, strict=False) for heard in pair),
        resized,
        *(heard for pair in zip(sent, marks[3:], strict=True) for heard in pair),
        Heard("USR2", 1, from_kernel=False),
    ]


def test_a_new_size_of_the_window() -> None:
    """WINCH arrives, and asking tells the new size."""
    program = f'trap "stty size; exit" WINCH; {BEGUN}; while :; do sleep 60 & wait; done'

    def scenario(bash: Shell) -> str:
        bash.type(f"$S bash -c '{program}'")
        bash.expect("begun\r\n")
        bash.resize(Size(31, 101))
        size = bash.expect(r"(\d+ \d+)\r\n")[1]
        bash.prompt()
        return size

    assert alike(scenario) == "31 101"


def test_the_foreground_group_is_the_shells_affair() -> None:
    """The job's while it runs, an inner shell's while that has it, and the shell's again."""

    def scenario(bash: Shell) -> list[bool]:
        bash.type(f"PS1='inner> ' $S {' '.join(BASH)} --noediting -i")
        bash.expect("inner> ")
        bash.press("echo pid=$$\n")
        inner = int(bash.expect(r"pid=(\d+)\r\n")[1])
        found = [bash.foreground == inner]
        bash.press("exit\n")
        bash.prompt()
        bash.type(f"$S sh -c '{BEGUN}; exec sleep 60'")
        job = bash.foreground_job()
        found.append(bash.foreground == job.leader)
        bash.press("\x03")
        bash.prompt()
        return [*found, bash.foreground == bash.pid]

    assert alike(scenario) == [True, True, True]


def test_what_is_typed_ahead_is_for_the_command_and_then_for_the_shell() -> None:
    """Sentinel reads nothing: neither before its command reads, nor after that is done."""

    def scenario(bash: Shell) -> list[str]:
        bash.press("$S sh -c 'read -r word; echo got $word'\nfor the command\n")
        found = [bash.expect(r"got ([\w ]+)\r\n")[1]]
        bash.prompt()
        bash.type(f"$S sh -c 'trap \"exit 0\" TERM; {BEGUN}; sleep 60 & wait'")
        job = bash.foreground_job()
        bash.press("echo ahead of you\n")
        bash.expect("ahead of you\r\n")
        os.kill(job.leader, signal.SIGTERM)
        return [*found, bash.prompt(), bash.prompt()]

    assert alike(scenario) == ["for the command", "", "ahead of you\n"]


HANGS_UP = f"trap 'echo hup >>told; exit 5' HUP; {BEGUN}; while :; do sleep 0.05; done"


@GUARDS
def test_a_hang_up_reaches_the_command_of_the_sessions_leader(
    guard: list[str], tmp_path: Path
) -> None:
    """As the leader, Sentinel is the only one whom the kernel tells: it passes the word on."""
    line = f'cd {tmp_path}; exec {" ".join(guard)} sh -c "$P"'
    with terminal(["sh", "-c", line], {"P": HANGS_UP}) as opened:
        opened.expect("begun\r\n")
        opened.hang_up()
        assert opened.wait() == 5
        opened.wait_for("the end of the session", lambda: not members(opened.pid))
    assert (tmp_path / "told").read_text() == "hup\n"


@GUARDS
def test_a_hang_up_ends_the_commands_of_a_shell(guard: list[str], tmp_path: Path) -> None:
    """In the foreground, in the background and stopped, all are gone, the guards with them."""
    with shell(" ".join(guard), {"P": HANGS_UP}) as bash:
        bash.run(f"cd {tmp_path}")
        bash.type(f"$S sh -c '{BEGUN}; exec sleep 60' &")
        bash.expect("begun\r\n")
        bash.type(f"$S sh -c '{BEGUN}; exec sleep 60'")
        bash.expect("begun\r\n")
        bash.press("\x1a")
        bash.prompt()
        bash.type('$S sh -c "$P"')
        bash.expect("begun\r\n")
        bash.hang_up()
        bash.wait_for("the end of the session", lambda: not members(bash.pid))
    assert set((tmp_path / "told").read_text().split()) == {"hup"}

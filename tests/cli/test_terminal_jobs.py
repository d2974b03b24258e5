"""Job control in a real interactive bash: what it shows is the same with Sentinel and without."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from tests.cli.processes import pending, state
from tests.cli.scenarios import BEGUN, interrupted_loop, stop_and_go_on
from tests.cli.terminal import (
    GUARD,
    SENTINEL,
    Shell,
    alike,
    shell,
    terminal,
)

LOUD = f"{SENTINEL} exec --"
"""With all that Sentinel says, which is nothing that a shell without it would show."""


def test_ctrl_c_ends_the_loop() -> None:
    """Bash gives a loop up when it sees its child die of SIGINT; a status of 130 would not do."""
    found = alike(lambda bash: (interrupted_loop(bash), bash.ask("echo $?")))
    assert "over" not in found[0]
    assert found[1] == "130"


def test_the_quit_key_ends_the_command_and_leaves_no_core(tmp_path: Path) -> None:
    """Sentinel ends by SIGQUIT as well, but of itself there is nothing to examine."""

    def scenario(bash: Shell) -> list[str]:
        bash.run(f"cd {tmp_path}; ulimit -c unlimited")
        bash.type(f"$S sh -c 'ulimit -c 0; {BEGUN}; exec sleep 60'")
        bash.expect("begun\r\n")
        bash.press("\x1c")
        return [bash.prompt(), bash.ask("echo $?"), bash.run("ls")]

    found = alike(scenario)
    assert found == ["^\\Quit\n", "131", ""]


def test_a_command_that_outlives_the_key_keeps_its_status() -> None:
    """It handled Ctrl-C and exited with 3: the loop goes on."""
    handles = 'trap "exit 3" INT; echo be""gun; sleep 30 & wait'

    def scenario(bash: Shell) -> str:
        bash.type(f"for i in 1 2; do $S sh -c '{handles}'; echo status=$?; done")
        for _ in range(2):
            bash.expect("begun\r\n")
            bash.press("\x03")
            bash.expect("status=3\r\n")
        return bash.prompt()

    alike(scenario)


def test_stop_and_go_on_inside_a_pipeline() -> None:
    """Ctrl-Z, jobs and fg of `a | sentinel exec b | c`, and the pipe still flows."""
    found = alike(stop_and_go_on)
    assert "Stopped" in found[0]
    assert found[-1] == "0\n"


def test_the_statuses_of_a_pipeline() -> None:
    """Each member's own."""
    line = "(exit 3) | $S sh -c 'exit 4' | (exit 5); echo ${PIPESTATUS[@]}"
    assert alike(lambda bash: bash.ask(line)) == "3 4 5"


def test_stopped_continued_in_the_background_and_killed() -> None:
    """Ctrl-Z, bg, jobs, kill %1, wait: the states and the exit status are the command's."""

    def scenario(bash: Shell) -> list[str]:
        bash.type(f"$S sh -c '{BEGUN}; exec sleep 30'")
        job = bash.foreground_job()
        bash.press("\x1a")
        found = [bash.prompt(), job.states(), bash.run("bg")]
        bash.wait_for("both to run", lambda: set(job.states()) == {"S"})
        found += [bash.run("jobs"), bash.run("kill %1; wait %1 2>/dev/null; echo status=$?")]
        return found

    found = alike(scenario)
    assert found[1] == "TT"
    assert "Running" in found[3]
    assert "status=N" in found[4]


def test_a_background_job_that_reads_the_terminal_is_stopped() -> None:
    """TTIN stops it, the shell says so, and in the foreground it reads."""

    def scenario(bash: Shell) -> list[str]:
        bash.run("$S cat & leader=$!")
        leader = int(bash.ask("echo $leader"))
        bash.wait_for("the stop", lambda: state(leader) == "T")
        found = [bash.run("jobs -l")]
        bash.type("fg")
        bash.expect("cat\r\n")
        bash.press("line\n")
        bash.expect("line\r\nline\r\n")
        bash.press("\x04")
        return [*found, bash.prompt(), bash.run("echo $?")]

    found = alike(scenario)
    assert "(tty input)" in found[0]
    assert found[2] == "0\n"


def test_a_background_job_that_writes_under_tostop_is_stopped() -> None:
    """TTOU stops it before its first word."""

    def scenario(bash: Shell) -> list[str]:
        bash.run("stty tostop; $S sh -c 'echo wo\"\"rd; exit 3' & leader=$!")
        leader = int(bash.ask("echo $leader"))
        bash.wait_for("the stop", lambda: state(leader) == "T")
        return [bash.run("jobs -l"), bash.run("fg"), bash.run("echo $?")]

    found = alike(scenario)
    assert "(tty output)" in found[0]
    assert found[1].endswith("word\n")
    assert found[2] == "3\n"


def test_sentinels_own_words_stop_nobody() -> None:
    """Under tostop, in the background, the notice of the backend does not stop the run."""
    with shell(LOUD) as bash:
        bash.run("stty tostop; $S sh -c 'exit 3' & leader=$!")
        bash.type("wait %1; echo status=$?")
        bash.expect("status=3\r\n")


def test_continuing_sentinel_alone_continues_the_command() -> None:
    """CONT to Sentinel's pid is enough, as it is for a command without it."""

    def scenario(bash: Shell) -> list[str]:
        bash.type(f"$S sh -c '{BEGUN}; exec sleep 30'")
        job = bash.foreground_job()
        bash.press("\x1a")
        found = [bash.prompt(), job.states()]
        os.kill(job.leader, signal.SIGCONT)
        bash.wait_for("both to run", lambda: set(job.states()) == {"S"})
        os.kill(job.leader, signal.SIGTERM)
        # Until bash has reaped it, `wait` may tell of the stop.
        bash.wait_for("the end", lambda: not state(job.leader))
        return [*found, bash.ask("wait %1 2>/dev/null; echo status=$?")]

    assert alike(scenario)[1:] == ["TT", "status=143"]


def test_a_stop_of_the_command_alone_leaves_the_guard_awake() -> None:
    """SIGSTOP to the command: Sentinel still forwards, and CONT to it continues the command."""
    with shell() as bash:
        bash.type(f"$S sh -c '{BEGUN}; exec sleep 30' & leader=$!")
        bash.expect("begun\r\n")
        leader, command = bash.job(int(bash.ask("echo $leader")))
        os.kill(command, signal.SIGSTOP)
        bash.wait_for("the stop", lambda: state(command) == "T")
        os.kill(leader, signal.SIGTERM)
        bash.wait_for("the forwarded TERM", lambda: signal.SIGTERM in pending(command))
        assert state(leader) != "T"
        os.kill(leader, signal.SIGCONT)
        assert bash.ask("wait %1 2>/dev/null; echo status=$?") == "status=143"


def test_ctrl_z_stops_the_guard_of_a_command_that_stopped_itself() -> None:
    """Its own SIGSTOP gave no prompt; the key does, and fg continues both."""
    with shell() as bash:
        bash.type(f"$S sh -c '{BEGUN}; kill -STOP $$; echo again'")
        job = bash.foreground_job()
        bash.wait_for("the stop", lambda: job.states() == "ST")
        bash.press("\x1a")
        assert "Stopped" in bash.prompt()
        assert job.states() == "TT"
        bash.type("fg")
        bash.expect("again\r\n")
        bash.prompt()


PATIENT = """
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])
os.waitpid(job, 0)
"""
"""A shell that puts a job into the foreground and does not mind its stops."""


def test_a_stop_that_is_over_before_sentinel_follows_it_stops_nobody() -> None:
    """Ctrl-Z and CONT, a little later each time: the guard never stays behind, stopped."""
    pongs = "trap 'echo pong' USR1; sleep 30 & echo begun; while :; do wait; done"
    guarded = [*GUARD.split(), "sh", "-c", pongs]
    with terminal([sys.executable, "-I", "-c", PATIENT, *guarded]) as opened:
        opened.expect("begun\r\n")
        leader = opened.foreground
        for microseconds in range(0, 1000, 4):
            opened.press("\x1a")
            opened.expect(r"\^Z")
            spin(microseconds)
            os.killpg(leader, signal.SIGCONT)
            os.kill(leader, signal.SIGUSR1)
            opened.expect("pong\r\n")
        opened.press("\x03")
        opened.wait()


def spin(microseconds: float) -> None:
    """Let a moment pass, shorter than any sleep."""
    end = time.perf_counter() + microseconds / 1e6
    while time.perf_counter() < end:
        pass

"""Signals: each arrives once, whose word means what, and the status tells of the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli import many
from tests.cli.pairs import GUARDED, LIMIT, alike, run
from tests.cli.processes import children, parent
from tests.cli.scenarios import heard
from tests.cli.terminal import ENVIRONMENT, SENTINEL, terminal
from tests.victims.build import victim
from tests.victims.running import Victim

GUARDS = pytest.mark.parametrize("guard", [[], GUARDED], ids=["plain", "guarded"])
"""For what must come true, by itself, in both cases."""
STOPPING = [SENTINEL, "exec", "-q", "--timeout", "2s", "--grace", "10m", "--"]
"""A stop is under way once the command is ready for it, and there is time to look at it."""


@contextmanager
def started(argv: list[str]) -> Iterator[Victim]:
    """Run `argv` in a session of its own; nobody of it is left."""
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, env=ENVIRONMENT, start_new_session=True
    )
    try:
        yield Victim(process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@GUARDS
def test_what_a_process_sends_arrives_once(guard: list[str]) -> None:
    """Every signal that is no fault and no order to stop at once is passed on."""
    names = "HUP INT QUIT USR1 USR2 ALRM TERM STKFLT TSTP TTIN TTOU XCPU VTALRM PROF WINCH IO PWR"
    numbers = [signal.Signals[f"SIG{name}"].value for name in names.split()]
    numbers += [signal.SIGRTMIN, signal.SIGRTMIN + 3, signal.SIGRTMAX]
    with started([*guard, victim(), "signals", "last=SYS"]) as one:
        command = int(one.wait_line("ready")["pid"])
        for number in numbers:
            os.kill(one.pid, number)
            one.wait_start(f"signal number={number} ")
        os.kill(command, signal.SIGSYS)
        assert one.wait_end() == 0
    told = [line.split()[1:4:2] for line in one.lines if line.startswith("signal ")]
    assert told == [[f"number={number}", "count=1"] for number in (*numbers, signal.SIGSYS)]


def test_the_alarm_that_the_caller_set_is_for_the_command() -> None:
    """`alarm; exec sentinel ...`: the timer stays with Sentinel's pid, its signal does not."""
    done = alike(["sleep", "60"], preexec_fn=lambda: signal.setitimer(signal.ITIMER_REAL, 0.5))
    assert done.status == 128 + signal.SIGALRM


def test_every_exit_status_is_the_commands_own() -> None:
    """All 256, ours among them."""
    assert many_statuses("exits") == list(range(256))


def test_every_signal_that_kills_is_128_and_its_number() -> None:
    """As a shell shows it; those that do not kill are no end."""
    plain = [run(["sh", "-c", script]).status for script in many.SCRIPTS["signals"]]
    assert many_statuses("signals") == plain
    assert plain.count(0) == len(["CHLD", "CONT", "URG", "WINCH"])


def many_statuses(which: str) -> list[int]:
    """What many.py says."""
    done = run([sys.executable, many.__file__, which], env={**ENVIRONMENT, "PYTHONPATH": "."})
    assert done.stderr == b""
    statuses: list[int] = json.loads(done.stdout)
    return statuses


PATIENT = "trap go=1 USR1"
WAITS = "until [ $go ]; do sleep 0.01; done"


def test_a_handler_that_signals_its_group_keeps_its_grace() -> None:
    """`trap 'kill 0' TERM`: what the run sends to its own group is no word to Sentinel."""
    handler = f"trap : TERM; kill 0; echo asked; {WAITS}; echo cleaned; exit 5"
    script = f"{PATIENT}; trap '{handler}' TERM; sleep 60 & wait; wait"
    with started([*STOPPING, "sh", "-c", script]) as one:
        one.wait_start("asked")
        os.kill(one.pid, signal.SIGUSR1)
        assert one.wait_end() == 124
    assert one.lines == ["asked", "cleaned"]


@GUARDS
def test_a_command_that_signals_its_group_hears_it_once(guard: list[str]) -> None:
    """Sentinel, which is in that group, does not pass it on again."""
    script = f"trap 'echo heard' TERM; {PATIENT}; kill 0; echo sent; {WAITS}"
    with started([*guard, "sh", "-c", script]) as one:
        one.wait_start("sent")
        os.kill(one.pid, signal.SIGUSR1)
        assert one.wait_end() == 0
    assert one.lines == ["heard", "sent"]


def test_a_process_that_says_term_again_means_now() -> None:
    """Once a stop of ours is under way, it does not wait for the grace."""
    with started([*STOPPING, victim(), "signals", "last=SYS"]) as one:
        one.wait_start("signal number=15 ")
        os.kill(one.pid, signal.SIGTERM)
        assert one.wait_end() == 124
    assert [line for line in one.lines if "number=15 " in line][1:] == []


def test_a_key_does_not_hurry_a_stop() -> None:
    """Ctrl-C during the grace is the command's; a TERM from a process ends it now."""
    with terminal([*STOPPING, victim(), "signals"]) as opened:
        assert [heard(opened).name, heard(opened).name] == ["TERM", "CONT"]
        opened.press("\x03")
        assert heard(opened) == ("INT", 1, True)
        os.kill(opened.pid, signal.SIGUSR1)  # Sentinel has read the key before
        assert heard(opened) == ("USR1", 1, False)
        os.kill(opened.pid, signal.SIGTERM)
        assert opened.wait() == 124


def test_all_is_said_before_sentinel_ends_by_the_key(tmp_path: Path) -> None:
    """The line and the document are complete, and the document has the status of a shell."""
    target = tmp_path / "outcome"
    words = [SENTINEL, "exec", "--json", str(target), "sh", "-c", "echo begun; exec sleep 60"]
    with terminal(words) as opened:
        opened.expect("begun\r\n")
        opened.press("\x03")
        opened.expect("sentinel: sh: signalled: ended by SIGINT\r\n")
        assert opened.wait() == -signal.SIGINT
    document = json.loads(target.read_bytes())
    assert (document["verdict"], document["exit_status"]) == ("signalled", 130)
    assert document["command_status"] == {"signalled": signal.SIGINT}


def test_a_stop_of_ours_that_the_key_ended_is_still_a_stop_of_ours() -> None:
    """Ctrl-C during the grace ends the command: 124, because the timeout was the cause."""
    script = "trap 'echo asked' TERM; while :; do sleep 0.05; done"
    with terminal([*STOPPING, "sh", "-c", script]) as opened:
        opened.expect("asked\r\n")
        opened.press("\x03")
        assert opened.wait() == 124


def test_a_forwarded_signal_starts_no_stop() -> None:
    """TERM to Sentinel is the command's to handle or not; nothing is timed."""
    options = [SENTINEL, "exec", "-q", "--grace", "0", "--"]
    with started([*options, victim(), "signals", "last=SYS"]) as one:
        command = int(one.wait_line("ready")["pid"])
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            os.kill(one.pid, number)
        one.wait_start("signal number=2 ")
        assert parent(command) == one.pid
        os.kill(command, signal.SIGSYS)
        assert one.wait_end() == 0


EARLY = """
import os, signal, sys
from sentinel.guard.supervisor import Launch, end_by, supervise
from sentinel.model.spec import Command, Limits, RunSpec, StopPlan
from sentinel.rss.enclosure import RssEnclosure

def opening():
    os.write(1, b"opened\\n")
    while signal.SIGINT not in signal.sigpending():
        pass

limits = Limits(1 << 30, None)
spec = RunSpec("early", Command((b"sleep", b"60"), (b"PATH=/usr/bin:/bin",)), limits, StopPlan())
launch = Launch(spec, RssEnclosure(limits))
(outcome,) = supervise([launch], lambda *_: None, opening=opening)
os.write(1, f"{outcome.verdict.value} {outcome.interrupted_by} {outcome.asked_by!r}\\n".encode())
"""


def test_a_key_before_the_start_is_not_lost() -> None:
    """Pressed when Sentinel was all there was of the group, it still ends the command."""
    with terminal([sys.executable, "-I", "-c", EARLY]) as opened:
        opened.expect("opened\r\n")
        opened.press("\x03")
        opened.expect("signalled 2 ''\r\n")
        assert opened.wait() == 0


def test_a_run_within_a_run() -> None:
    """Each passes a signal on once, and the innermost status comes out."""
    with started(
        [*GUARDED, *GUARDED, "sh", "-c", f"trap 'exit 9' TERM; echo begun; {WAITS}"]
    ) as one:
        one.wait_start("begun")
        os.kill(one.pid, signal.SIGTERM)
        assert one.wait_end() == 9


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a pid namespace")
class TestPid1:
    """Sentinel as the first process of a pid namespace, as in a container."""

    UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")

    def test_the_status_comes_out(self) -> None:
        """And SIGKILL, which PID 1 could not pass on, is 137."""
        assert run([*self.UNSHARE, *GUARDED, "sh", "-c", "exit 9"]).status == 9
        assert run([*self.UNSHARE, *GUARDED, "sh", "-c", "kill -9 $$"]).status == 137

    @pytest.mark.parametrize("sender", ["outside", "inside"])
    def test_a_signal_is_passed_on(self, sender: str) -> None:
        """From outside the namespace, and from the run itself, which knows PID 1 by name."""
        sends = "kill -TERM 1; " if sender == "inside" else ""
        script = f"trap 'exit 9' TERM; echo begun; {sends}{WAITS}"
        with started([*self.UNSHARE, *GUARDED, "sh", "-c", script]) as one:
            one.wait_start("begun")
            if sender == "outside":
                os.kill(children(one.pid)[0], signal.SIGTERM)
            assert one.wait_end(LIMIT) == 9

    def test_orphans_are_reaped(self, tmp_path: Path) -> None:
        """A hundred of them leave no zombie while the command runs."""
        script = f"""
            for i in $(seq 100); do (sleep 0.01 &) done
            until [ $(ls -d /proc/[0-9]* | wc -l) -le 5 ]; do sleep 0.05; done
            echo reaped >{tmp_path}/told
        """
        assert run([*self.UNSHARE, *GUARDED, "sh", "-c", script]).status == 0
        assert (tmp_path / "told").read_text() == "reaped\n"

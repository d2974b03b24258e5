"""The loop around the guardians, in a process of its own: signals, children, sweeps, failures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import ROOT
from tests.victims.build import victim
from tests.victims.running import wait_until

pytestmark = pytest.mark.native
PROGRAM = os.path.join(ROOT, "tests", "guard", "supervised.py")
HOLD = [victim(), "hold", "size=1M"]
DEAF = [victim(), "hold", "size=1M", "term=ignore"]
SECONDS = 120


class Supervised:
    """A supervising process and what it says."""

    def __init__(
        self, runs: list[dict[str, Any]], *, own_group: bool = False, **order: Any
    ) -> None:
        reading, writing = os.pipe()
        text = json.dumps({"runs": runs, **order})
        self.process = subprocess.Popen(
            [sys.executable, PROGRAM, str(writing), text],
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": ROOT},
            pass_fds=[writing],
            process_group=0 if own_group else None,
        )
        os.close(writing)
        self._report = os.fdopen(reading, "rb")
        self.said: list[dict[str, Any]] = []

    def line(self) -> dict[str, Any]:
        """The next thing that it says."""
        text = self._report.readline()
        assert text, self.said
        self.said.append(json.loads(text))
        return self.said[-1]

    def until(self, **words: Any) -> dict[str, Any]:
        """Read on to the line with these words."""
        while not words.items() <= self.line().items():
            pass
        return self.said[-1]

    def outcomes(self) -> list[dict[str, Any]]:
        """Read to the end."""
        while "outcomes" not in self.line():
            pass
        assert self.process.wait(SECONDS) == 0
        found: list[dict[str, Any]] = self.said[-1]["outcomes"]
        return found

    def main_pid(self, name: str = "run") -> int:
        """Wait for the start of a run; its main process."""
        line = self.until(run=name, what="started")
        return int(line["detail"].split()[1])

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        self._report.close()


Starts = Callable[..., Supervised]


@pytest.fixture
def supervised() -> Iterator[Starts]:
    """Start supervising processes."""
    started: list[Supervised] = []

    def start(*runs: dict[str, Any], **order: Any) -> Supervised:
        started.append(Supervised(list(runs), **order))
        return started[-1]

    yield start
    for one in started:
        one.close()


def state(pid: int) -> str:
    """The state of a process, empty when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_one_run(supervised: Starts) -> None:
    """Started, ended, told."""
    run = supervised({"argv": ["sh", "-c", "exit 3"]})
    (outcome,) = run.outcomes()
    assert (outcome["verdict"], outcome["exit_status"]) == ("exited", 3)
    assert [line["what"] for line in run.said[:-1]] == ["started", "emptied", "over"]


def test_runs_of_every_kind_at_once(supervised: Starts) -> None:
    """Each has its own end, and the outcomes come in the order of the launches."""
    run = supervised(
        {"name": "slow", "argv": ["sh", "-c", "sleep 0.4; exit 4"]},
        {"name": "missing", "argv": ["/no/such/command"]},
        {"name": "quick", "argv": ["true"]},
        {"name": "stopped", "argv": HOLD, "script": [[0.1, "soft crossed"]]},
        {"name": "deaf", "argv": DEAF, "stop": {"timeout": 1.5, "grace": 0.2}},
    )
    outcomes = run.outcomes()
    assert [(one["name"], one["verdict"], one["exit_status"]) for one in outcomes] == [
        ("slow", "exited", 4),
        ("missing", "failed-to-start", 127),
        ("quick", "exited", 0),
        ("stopped", "soft-limit", 124),
        ("deaf", "timeout-killed", 124),
    ]
    assert outcomes[1]["failure"] == (
        "'/no/such/command': no such file; check the spelling or give its path"
    )


def test_an_idle_supervisor_sleeps_without_a_deadline(supervised: Starts) -> None:
    """The one system call that it waits in has no timeout."""
    run = supervised({"argv": HOLD})
    run.main_pid()

    def waits() -> bool:
        with open(f"/proc/{run.process.pid}/syscall", encoding="ascii") as file:
            words = file.read().split()
        return len(words) > 5 and int(words[4], 16) & 0xFFFFFFFF == 0xFFFFFFFF

    wait_until("a wait without a timeout", waits)


def test_a_signal_is_forwarded(supervised: Starts) -> None:
    """Once, and its sender is known at the end."""
    run = supervised({"argv": HOLD})
    run.main_pid()
    run.process.send_signal(signal.SIGTERM)
    (outcome,) = run.outcomes()
    assert (outcome["verdict"], outcome["exit_status"]) == ("signalled", 143)
    assert outcome["asked_by"] == f"pid {os.getpid()}, uid {os.getuid()}"


def test_a_signal_reaches_every_run(supervised: Starts) -> None:
    """Who signals the supervisor means all of it."""
    run = supervised({"name": "a", "argv": HOLD}, {"name": "b", "argv": HOLD})
    run.main_pid("b")
    run.process.send_signal(signal.SIGHUP)
    assert [one["exit_status"] for one in run.outcomes()] == [129, 129]


def test_a_signal_before_the_start_is_not_lost(supervised: Starts) -> None:
    """It waits for the command that it is meant for; every other end of it would be silent."""
    run = supervised({"argv": HOLD}, signal=int(signal.SIGTERM))
    (outcome,) = run.outcomes()
    assert (outcome["verdict"], outcome["exit_status"]) == ("signalled", 143)


COUNTING = """
n=0
trap 'n=$((n + 1))' USR1
kill -USR1 0
while grep -q '^ShdPnd:.*[2367abef]00$' /proc/$PPID/status; do :; done
sleep 0.1
exit $n
"""
"""Signals its group, waits until its parent has taken the signal, and exits with the count."""


def test_a_command_that_signals_its_own_group_is_not_signalled_twice(supervised: Starts) -> None:
    """`kill 0` reached the command by itself: Sentinel, of the same group, does not repeat it."""
    run = supervised({"argv": ["sh", "-c", COUNTING]}, own_group=True)
    (outcome,) = run.outcomes()
    assert (outcome["verdict"], outcome["exit_status"]) == ("exited", 1)


def test_term_during_a_stop_means_now(supervised: Starts) -> None:
    """An hour of grace is cut short."""
    run = supervised({"argv": DEAF, "stop": {"timeout": 1.5, "grace": 3600.0}})
    run.until(what="asked to stop")
    run.process.send_signal(signal.SIGTERM)
    (outcome,) = run.outcomes()
    assert (outcome["verdict"], outcome["killed"]) == ("timeout-killed", 1)
    assert outcome["asked_by"] == f"uid {os.getuid()}"


def test_children_that_were_there_before_are_reaped_and_no_matter(supervised: Starts) -> None:
    """`sleep 0.1 & exec sentinel ...`: a child that Sentinel inherited is none of the run's."""
    reading, writing = os.pipe()
    order = json.dumps({"runs": [{"argv": ["sleep", "0.5"]}]})
    shell = f"true & exec \"{sys.executable}\" {PROGRAM} {writing} '{order}'"
    done = subprocess.run(
        ["sh", "-c", shell],
        env={**os.environ, "PYTHONPATH": ROOT},
        pass_fds=[writing],
        timeout=SECONDS,
        check=False,
    )
    os.close(writing)
    with os.fdopen(reading, "rb") as report:
        last = json.loads(report.read().splitlines()[-1])
    assert done.returncode == 0
    assert last["outcomes"][0]["verdict"] == "exited"
    del supervised


def test_a_supervisor_that_fails_leaves_nobody_alive(supervised: Starts) -> None:
    """Whatever goes wrong inside Sentinel: every run is killed before it is told."""
    run = supervised(
        {"name": "a", "argv": DEAF},
        {"name": "b", "argv": DEAF, "script": [[0.1, "soft crossed"]]},
        **{"listener fails at": "soft crossed"},
    )
    pids = [run.main_pid("a"), run.main_pid("b")]
    assert run.until(failed="the listener failed")
    assert run.process.wait(SECONDS) == 1
    wait_until("their ends", lambda: [state(pid) for pid in pids] == ["", ""])


def test_a_supervisor_that_is_killed_signals_its_commands(
    supervised: Starts, tmp_path: Path
) -> None:
    """SIGKILL: the parent-death signal is --signal."""
    witness = tmp_path / "heard"
    script = f"trap 'echo heard >{witness}; exit' USR1; echo; while :; do sleep 0.01; done"
    run = supervised({"argv": ["sh", "-c", script], "stop": {"signal": int(signal.SIGUSR1)}})
    pid = run.main_pid()
    wait_until("the trap", lambda: caught(pid, signal.SIGUSR1))
    run.process.kill()
    wait_until("the signal", witness.exists)


def caught(pid: int, number: int) -> bool:
    """Whether process `pid` handles signal `number`."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        (word,) = (line.split()[1] for line in file if line.startswith("SigCgt:"))
    return bool(int(word, 16) >> (number - 1) & 1)


# --- sweeps ----------------------------------------------------------------------------------


def sweeps(run: Supervised) -> list[str]:
    """What was done with the sweep."""
    return [line["sweep"] for line in run.said if "sweep" in line]


def test_a_sweep_begins_after_the_command(supervised: Starts) -> None:
    """And is turned when it has news, while the run goes on."""
    run = supervised({"argv": HOLD, "sweeps": ["well-behaved"]})
    run.main_pid()
    run.until(sweep="begin")
    run.until(sweep="turn")
    run.process.send_signal(signal.SIGTERM)
    run.outcomes()
    assert sweeps(run)[-1] == "close"


def test_without_a_command_nothing_is_swept(supervised: Starts) -> None:
    """A start that failed touches no other run's remains."""
    run = supervised({"argv": ["/no/such/command"], "sweeps": ["well-behaved"]})
    run.outcomes()
    assert sweeps(run) == []


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("begin fails", ["begin", "close"]), ("turn fails", None)],
)
def test_a_sweep_that_fails_disturbs_no_run(
    supervised: Starts, kind: str, expected: list[str] | None
) -> None:
    """The dead wait for the next start; the living go on."""
    run = supervised({"argv": ["sh", "-c", "sleep 0.3; exit 6"], "sweeps": [kind]})
    (outcome,) = run.outcomes()
    assert (outcome["verdict"], outcome["exit_status"]) == ("exited", 6)
    assert sweeps(run)[0] == "begin"
    assert sweeps(run)[-1] == "close"
    if expected is not None:
        assert sweeps(run) == expected


def test_a_sweep_that_never_ends_delays_the_end_by_a_second(supervised: Starts) -> None:
    """Then the next start may go on with it."""
    run = supervised({"argv": ["true"], "sweeps": ["slow"]})
    run.until(what="over")
    over = time.monotonic()
    run.outcomes()
    assert 0.8 <= time.monotonic() - over < SECONDS
    assert sweeps(run)[-1] == "close"

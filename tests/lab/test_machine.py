"""A run in the lab, on the quick kernel: what comes back, and that nothing stays behind."""

import io
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.lab import ROOT, STATE, machine, systemd
from tests.lab.machine import Order, Result

pytestmark = pytest.mark.native

SECONDS = 240
"""Only a hang takes so long, however busy the machine is."""
WAITING = 'echo "$SENTINEL_EXCHANGE"; exec sleep 1000'


def run(*argv: str, **more: object) -> tuple[Result, str, str]:
    """Run `argv` in 6.1; return the result, its output and its errors."""
    out, err = io.BytesIO(), io.BytesIO()
    order = Order(argv, **{"timeout": SECONDS, **more})  # type: ignore[arg-type]
    result = machine.run("6.1", order, out, err)
    return result, out.getvalue().decode(), err.getvalue().decode()


def processes_of(work: str) -> list[str]:
    """Return the pids of all processes whose command line names the directory of a run."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/cmdline") as file:
            if work in file.read():
                found.append(pid)
    return found


def await_gone(work: str) -> None:
    """Wait until no process of a run is left."""
    deadline = time.monotonic() + SECONDS
    while left := processes_of(work):
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.05)


def test_output_status_and_release_come_back() -> None:
    """Both streams, the exit status and the kernel's release are the command's own."""
    result, out, err = run("sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.status, out, err) == (7, "out\n", "err\n")
    assert result.release is not None
    assert result.release.startswith("6.1.")


def test_a_signal_is_a_status_too() -> None:
    """A command that a signal ended has the status that a shell gives it."""
    assert run("sh", "-c", "kill -KILL $$")[0].status == 137


def test_a_file_can_be_brought_back(tmp_path: Path) -> None:
    """What the command writes into its exchange directory is copied to where it is wanted."""
    wanted = tmp_path / "wanted"
    command = 'printf whole >"$SENTINEL_EXCHANGE/made"'
    assert run("sh", "-c", command, bring={"made": str(wanted)})[0].status == 0
    assert wanted.read_text(encoding="utf-8") == "whole"


def test_a_hang_ends_at_the_deadline_and_leaves_nothing() -> None:
    """At the deadline the output so far is there, the machine is gone, and so are its files."""
    for timeout in (6, 24, 96):  # a slow machine may not have booted by then
        result, out, _ = run("sh", "-c", WAITING, timeout=timeout)
        if out:
            break
    work = os.path.dirname(out.strip())
    assert (result.status, result.timed_out) == (None, True)
    assert os.path.dirname(work) == os.path.join(STATE, "runs")
    assert not os.path.exists(work)
    assert processes_of(work) == []


def test_a_killed_lab_takes_its_machine_along() -> None:
    """When the lab is killed outright, no process of the guest goes on; the next run sweeps."""
    argv = [sys.executable, "-m", "tests.lab", "--", "sh", "-c", WAITING]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as lab:
        assert lab.stdout is not None
        work = os.path.dirname(lab.stdout.readline().strip())
        assert processes_of(work) != []
        lab.kill()
    await_gone(work)
    assert os.path.exists(work)
    run("true")
    assert not os.path.exists(work)


def test_a_terminated_lab_cleans_up() -> None:
    """SIGTERM ends the machine and removes the files of the run at once."""
    argv = [sys.executable, "-m", "tests.lab", "--", "sh", "-c", WAITING]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as lab:
        assert lab.stdout is not None
        work = os.path.dirname(lab.stdout.readline().strip())
        lab.terminate()
        assert lab.wait(SECONDS) == 143
    assert not os.path.exists(work)
    assert processes_of(work) == []


def test_a_run_that_is_not_wanted_any_more_leaves_nothing() -> None:
    """A thread that waits for a guest is told to stop: machine and files are gone when it does."""

    class Heard(io.BytesIO):
        def flush(self) -> None:
            stop.set()

    stop, out = threading.Event(), Heard()
    order = Order(["sh", "-c", WAITING], timeout=SECONDS)
    with pytest.raises(machine.Stopped):
        machine.run("6.1", order, out, io.BytesIO(), stop)
    work = os.path.dirname(out.getvalue().decode().strip())
    assert os.path.dirname(work) == os.path.join(STATE, "runs")
    assert not os.path.exists(work)
    assert processes_of(work) == []


def test_a_panic_is_told_with_its_reason() -> None:
    """A machine that dies without a status is told apart, with the kernel's last words."""
    result, _, _ = run("sh", "-c", "echo c >/proc/sysrq-trigger; exec sleep 1000")
    assert (result.status, result.timed_out) == (None, False)
    assert "panic" in result.console


def test_python_is_the_same_in_the_guest() -> None:
    """The guest runs the interpreter that runs these tests."""
    _, out, _ = run(sys.executable, "-c", "import sys; print(sys.version)")
    assert out == sys.version + "\n"


def test_systemd_can_be_pid_1_and_leaves_nothing_on_the_host() -> None:
    """With systemd the root can be written to; output and status come back, the files do not."""
    litter = "/var/lib/sentinel-litter"
    command = 'cat /proc/1/comm; touch "$0" && exit 7'
    result, out, err = run("sh", "-c", command, litter, init="systemd")
    assert (result.status, out, err) == (7, "systemd\n", "")
    assert not os.path.exists(litter)


@pytest.mark.parametrize(
    ("part", "broken"), [("COMMAND", "/usr/local/lib/lab/other"), ("MANAGER", "session broken\n")]
)
def test_a_systemd_that_cannot_get_there_ends_the_machine(
    monkeypatch: pytest.MonkeyPatch, part: str, broken: str
) -> None:
    """Neither a service nor a user manager that does not start is waited for to the deadline."""
    monkeypatch.setattr(systemd, part, broken)
    result, out, _ = run("echo", "out", init="systemd")
    assert (result.status, result.timed_out, out) == (None, False, "")


def test_an_order_that_no_systemd_can_carry_out_is_refused_by_name() -> None:
    """The login of a user that a guest without systemd does not have is an error of usage."""
    argv = [sys.executable, "-m", "tests.lab", "--user", "--", "true"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith("--user needs --init systemd: only there is somebody to log in\n")

"""The verbs on real runs: found by name, asked through their sockets, waited for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from sentinel.control import registry
from sentinel.control.registry import Entry
from sentinel.linux.runtime import existing_runtime_directories
from tests.cli.processes import children, state
from tests.cli.terminal import PATIENCE, SENTINEL
from tests.victims.running import wait_until

SLEEP = ("sleep", "1000")
STUBBORN = ("sh", "-c", "trap '' TERM; echo begun; while :; do sleep 1000; done")
HELD = 80
HOLDER = (sys.executable, "-c", f"import time; held = b'x' * ({HELD} << 20); time.sleep(1000)")


class Said(NamedTuple):
    """What a finished `sentinel` said."""

    status: int
    stdout: str
    stderr: str


def sentinel(*words: str) -> Said:
    """Run `sentinel WORDS` to its end."""
    done = subprocess.run(
        [SENTINEL, *words], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return Said(done.returncode, done.stdout, done.stderr)


class Run:
    """A guarded command, and how to find it."""

    def __init__(self, wanted: str, process: subprocess.Popen[bytes]) -> None:
        """Wait until it is registered, under `wanted` or with a suffix."""
        self.process = process
        self._wanted = wanted
        wait_until(f"{wanted} among the live runs", lambda: self._entries() or process.poll())
        (self.entry,) = self._entries()
        self.name = self.entry.name

    def _entries(self) -> list[Entry]:
        """Its entry: that of the guard, whose number means nothing in another namespace."""
        here = registry.whereabouts()[1]
        return [
            entry
            for entry in registry.live()
            if entry.name.startswith(self._wanted)
            and (entry.pid == self.process.pid or entry.pid_namespace != here)
        ]

    def end(self) -> int:
        """The guard's exit status, once it has ended."""
        return self.process.wait(PATIENCE)


Start = Callable[..., Run]
_number = iter(range(1000))


@pytest.fixture
def start() -> Iterator[Start]:
    """Start guarded commands; what is left of them is ended."""
    begun: list[subprocess.Popen[bytes]] = []

    def begin(
        *options: str,
        command: tuple[str, ...] = SLEEP,
        before: tuple[str, ...] = (),
        name: str = "",
    ) -> Run:
        name = name or f"verb{os.getpid()}.{next(_number)}"
        words = ["exec", "-q", "--backend", "rss", "--name", name, "--limit", "1G", *options]
        process = subprocess.Popen(
            [*before, SENTINEL, *words, "--", *command], stdout=subprocess.PIPE
        )
        begun.append(process)
        return Run(name, process)

    yield begin
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def listed(name: str) -> dict[str, object] | None:
    """What `sentinel ls --json` says of the run called `name`."""
    said = sentinel("ls", "--json")
    assert (said.status, said.stderr) == (0, "")
    runs = [run for run in json.loads(said.stdout)["runs"] if run["name"] == name]
    assert len(runs) <= 1
    return runs[0] if runs else None


def answering(name: str) -> dict[str, object]:
    """The same, once it answers in time: on a crowded machine not at the first attempt."""
    found: dict[str, object] = {}

    def look() -> bool:
        found.update(listed(name) or {})
        return found.get("status") is not None

    wait_until(f"an answer of {name} in time", look)
    return found


def status(name: str) -> dict[str, object]:
    """What `sentinel status NAME --json` says."""
    said = sentinel("status", name, "--json")
    assert (said.status, said.stderr) == (0, "")
    found = json.loads(said.stdout)
    assert isinstance(found, dict)
    return found


def test_a_run_is_listed_and_told_about(start: Start) -> None:
    """The table has its row, the document its entry and status, and status its lines."""
    run = start("--limit", "300M")
    row = next(
        line.split() for line in sentinel("ls").stdout.splitlines() if line.startswith(run.name)
    )
    assert (row[0], row[2], row[3]) == (run.name, "rss", str(run.entry.main))
    assert (row[6], row[7]) == ("300M", "sleep")
    found = answering(run.name)
    assert found["pid"] == run.process.pid
    assert found["main"] == children(run.process.pid)[0]
    assert found["soft"] == 300 << 20
    assert isinstance(found["status"], dict)
    assert found["status"]["pid"] == found["main"]
    lines = dict(line.split(None, 1) for line in sentinel("status", run.name).stdout.splitlines())
    assert (lines["name"], lines["limit"]) == (run.name, "300M of workingset")
    assert f" {run.entry.main} " in sentinel("tree", run.name).stdout


def test_stop_waits_for_the_end(start: Start) -> None:
    """What was begun, then the verdict; the run has ended by then and is found no more."""
    run = start()
    said = sentinel("stop", run.name)
    out = (
        f"stopping {run.name}: sent SIGTERM, 3s to finish\n"
        f"{run.name} is over: stopped, exit status 143\n"
    )
    assert said == (0, out, "")
    assert state(run.entry.main) == ""
    assert run.end() == 143
    said = sentinel("stop", run.name)
    assert (said.status, said.stdout) == (3, "")
    assert said.stderr.startswith(f"sentinel: no run called {run.name!r} is live")


def test_stop_waits_for_the_whole_grace(start: Start) -> None:
    """A command that takes no notice is killed after its grace, and only then is it over."""
    run = start("--grace", "500ms", command=STUBBORN)
    assert run.process.stdout is not None
    assert run.process.stdout.readline() == b"begun\n"
    said = sentinel("stop", run.name, "--json")
    assert (said.status, said.stderr) == (0, "")
    document = json.loads(said.stdout)
    assert document["answer"] == f"stopping {run.name}: sent SIGTERM, 500ms to finish"
    assert (document["over"]["verdict"], document["over"]["exit_status"]) == ("killed", 137)
    assert run.end() == 137


def test_stop_without_waiting(start: Start) -> None:
    """With --no-wait the answer is all; a second stop waits for the end of the first."""
    run = start("--grace", "1000", command=STUBBORN)
    assert run.process.stdout is not None
    assert run.process.stdout.readline() == b"begun\n"
    said = sentinel("stop", "--no-wait", run.name)
    assert said == (0, f"stopping {run.name}: sent SIGTERM, 16m40s to finish\n", "")
    assert sentinel("limit", "1G", run.name) == (1, "", "sentinel: already stopping\n")
    assert sentinel("grace", "1s", run.name) == (1, "", "sentinel: already stopping\n")
    waiting = subprocess.Popen([SENTINEL, "stop", run.name], stdout=subprocess.PIPE, text=True)
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == f"{run.name} is being stopped already\n"
    assert waiting.poll() is None
    said = sentinel("kill", run.name)
    assert said.status == 0
    assert said.stdout.splitlines()[-1].startswith(f"{run.name} is over: ")
    assert waiting.wait(PATIENCE) == 0
    assert waiting.stdout.read().startswith(f"{run.name} is over: ")
    waiting.stdout.close()
    assert run.end() == 137


def test_kill(start: Start) -> None:
    """No grace is given, and the verdict says who it was."""
    run = start("--grace", "1000", command=STUBBORN)
    assert run.process.stdout is not None
    assert run.process.stdout.readline() == b"begun\n"
    out = f"killing {run.name}\n{run.name} is over: killed, exit status 137\n"
    assert sentinel("kill", run.name) == (0, out, "")
    assert run.end() == 137


def test_limit_and_grace_of_a_run_that_goes_on(start: Start) -> None:
    """A larger limit raises the wall too, and says so; one below its memory ends the run."""
    run = start("--limit", "200M", "--hard-limit", "300M", command=HOLDER)
    wait_until("its memory", lambda: _working_set(run.name) >= HELD << 20)
    out = "limit 400M, hard limit raised to 600M\n"
    assert sentinel("limit", "400M", run.name) == (0, out, "")
    assert sentinel("grace", "9s", run.name) == (0, "grace 9s\n", "")
    found = status(run.name)
    assert isinstance(found["limits"], dict)
    assert (found["limits"]["soft"], found["limits"]["hard"]) == (400 << 20, 600 << 20)
    assert found["grace"] == 9
    said = sentinel("limit", "50M", run.name)
    assert said == (0, "limit 50M\n", "")
    assert run.end() == 124


def _working_set(name: str) -> int:
    memory = status(name)["memory"]
    return int(memory["working_set"] or 0) if isinstance(memory, dict) else 0


def test_freeze_and_thaw(start: Start) -> None:
    """A frozen run stands still until it is thawed; one that is stopped is thawed first."""
    run = start()
    assert sentinel("freeze", run.name) == (0, f"frozen {run.name}\n", "")
    wait_until("the command to halt", lambda: state(run.entry.main) == "T")
    assert status(run.name)["frozen"] is True
    assert sentinel("thaw", run.name) == (0, f"thawed {run.name}\n", "")
    wait_until("the command to go on", lambda: state(run.entry.main) == "S")
    assert status(run.name)["frozen"] is False
    sentinel("freeze", run.name)
    said = sentinel("stop", run.name)
    assert said.stdout.endswith(f"{run.name} is over: stopped, exit status 143\n")


def test_runs_of_one_name(start: Start) -> None:
    """The second gets -2, and each is reached by the name that it has."""
    name = f"twin{os.getpid()}"
    first, second = start(name=name), start(name=name)
    assert (first.name, second.name) == (name, f"{name}-2")
    assert sentinel("stop", f"{name}-2").status == 0
    assert second.end() == 143
    assert listed(name) is not None
    assert listed(f"{name}-2") is None
    assert start(name=name).name == f"{name}-2"


def test_a_run_in_another_pid_namespace(start: Start) -> None:
    """Its numbers mean nothing here: it is found by its lock and stopped through its socket."""
    words = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        words += ["--user", "--map-current-user"]
    run = start(before=tuple(words))
    assert run.entry.pid == 1
    answering(run.name)
    said = sentinel("stop", run.name)
    assert said.stdout.endswith(f"{run.name} is over: stopped, exit status 143\n")
    assert run.end() == 143


def test_a_killed_guards_entry_is_swept(start: Start) -> None:
    """A run whose guard was SIGKILLed is not listed, and nothing of it is left in the directory."""
    run = start()
    assert [name for name in _runtime_files() if run.name in name]
    run.process.kill()
    run.process.wait(PATIENCE)
    assert sentinel("status", run.name).status == 3
    assert listed(run.name) is None
    assert [name for name in _runtime_files() if run.name in name] == []


def _runtime_files() -> list[str]:
    found = []
    for directory in existing_runtime_directories():
        found += os.listdir(directory.fd)
        directory.close()
    return found


def test_a_run_without_a_socket(start: Start) -> None:
    """It is listed all the same; whoever asks it is told how else to end it."""
    run = start("--no-socket")
    found = listed(run.name)
    assert found is not None
    assert (found["socket"], found["status"]) == ("", None)
    line = f"{run.name} was started with --no-socket; signal it: kill {run.process.pid}"
    assert sentinel("stop", run.name) == (125, "", f"sentinel: {line}\n")


def test_a_guard_that_stands_still(start: Start) -> None:
    """Its row has question marks, and the others' are there in time."""
    halted, other = start(), start()
    os.kill(halted.process.pid, signal.SIGSTOP)
    try:
        wait_until("the guard to halt", lambda: state(halted.process.pid) == "T")
        lines = sentinel("ls").stdout.splitlines()
        assert [line.split()[1] for line in lines if line.startswith(f"{halted.name} ")] == ["?"]
        answering(other.name)
    finally:
        os.kill(halted.process.pid, signal.SIGCONT)


def following(name: str) -> subprocess.Popen[str]:
    """A `sentinel events NAME` that has heard the greeting."""
    reader = subprocess.Popen(
        [SENTINEL, "events", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    assert json.loads(reader.stdout.readline())["event"] == "hello"
    return reader


def test_events_until_the_end(start: Start) -> None:
    """Every line is JSON, a change is told, the last line has the verdict, and the status is 0."""
    run = start()
    with following(run.name) as reader:
        sentinel("grace", "5s", run.name)
        sentinel("stop", run.name)
        out, err = reader.communicate(timeout=PATIENCE)
    events = [json.loads(line) for line in out.splitlines()]
    assert "grace changed" in [event["event"] for event in events]
    assert (events[-1]["event"], events[-1]["verdict"]) == ("over", "stopped")
    assert (reader.returncode, err) == (0, "")


def test_events_end_with_their_reader(start: Start) -> None:
    """A keyboard interrupt ends the reader as it ends any program; a closed pipe is no error."""
    run = start()
    with following(run.name) as reader:
        reader.send_signal(signal.SIGINT)
        assert reader.wait(PATIENCE) == -signal.SIGINT
        assert reader.stderr is not None
        assert reader.stderr.read().strip() == ""  # the line that ^C stands in is ended
    with following(run.name) as reader:
        assert reader.stdout is not None
        reader.stdout.close()  # and nothing happens in the run that could not be written
        assert reader.wait(PATIENCE) == 0
        assert reader.stderr is not None
        assert reader.stderr.read() == ""


def test_events_of_a_guard_that_is_killed(start: Start) -> None:
    """Without a verdict the status says that something is missing."""
    run = start()
    with following(run.name) as reader:
        run.process.kill()
        run.process.wait(PATIENCE)
        _, err = reader.communicate(timeout=PATIENCE)
    line = f"sentinel: {run.name}: the events ended before the run did: its guard has gone\n"
    assert (reader.returncode, err) == (125, line)


def test_a_verb_is_no_command_any_more(tmp_path: Path) -> None:
    """`sentinel kill` asks a run; the program of that name is reached with exec."""
    said = sentinel("kill", "999999999")
    assert (said.status, said.stdout) == (3, "")
    mark = tmp_path / "mark"
    done = sentinel("exec", "-q", "sh", "-c", f"kill -0 $$ && : > {mark}")
    assert done == (0, "", "")
    assert mark.exists()

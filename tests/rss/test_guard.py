"""`sentinel exec --backend rss` from end to end, and what is left when Sentinel is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sentinel.linux.kinship import Identity
from sentinel.linux.process import process_stat
from sentinel.linux.runtime import existing_runtime_directories
from sentinel.rss.family import descendants
from sentinel.rss.procfs import Proc
from sentinel.rss.record import PREFIX, parse_record
from tests.victims.build import victim
from tests.victims.running import running, wait_until

SENTINEL = [os.path.join(os.path.dirname(sys.executable), "sentinel"), "exec", "--backend", "rss"]
PATIENCE_SECONDS = 120


def guarded(*words: str, limit: str = "64M", options: Sequence[str] = ()) -> list[str]:
    """Argv of a guarded victim."""
    return [*SENTINEL, "--limit", limit, *options, "--", victim(), *words]


def outcome(tmp_path: Path, argv: list[str]) -> dict[str, Any]:
    """Run a guarded victim to its end; the outcome, with what Sentinel wrote as `said`."""
    target = tmp_path / "outcome.json"
    at = argv.index("--limit")
    done = subprocess.run(
        [*argv[:at], "--json", str(target), *argv[at:]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    found: dict[str, Any] = json.loads(target.read_text())
    assert found["exit_status"] == done.returncode
    return {**found, "said": done.stderr.decode()}


def lives(who: Identity) -> bool:
    """Whether `who` is neither gone nor a zombie."""
    stat = process_stat(who.pid)
    return stat is not None and stat.start == who.start and stat.state != "Z"


def records_naming(pid: int) -> list[str]:
    """Paths of the records that name `pid`."""
    found = []
    for directory in existing_runtime_directories():
        for name in os.listdir(directory.fd):
            path = os.path.join(directory.path, name)
            if name.startswith(PREFIX) and pid in recorded(path):
                found.append(path)
        directory.close()
    return found


def recorded(path: str) -> set[int]:
    """The pids that a record names; it may go while it is read."""
    try:
        kin = parse_record(Path(path).read_bytes())
    except FileNotFoundError:
        return set()
    return set() if kin is None else {member.pid for member in kin.members}


def test_leak_ends_politely(tmp_path: Path) -> None:
    """A leak is asked to stop at its limit, writes its checkpoint, and the status is 124."""
    checkpoint = tmp_path / "checkpoint"
    words = ("leak", "rate=80M", "max=1G", f"checkpoint={checkpoint}", "handler=32M")
    options = ["--hard-limit", "none", "--grace", "1m"]
    found = outcome(tmp_path, guarded(*words, options=options))
    assert (found["verdict"], found["exit_status"]) == ("soft-limit", 124)
    assert found["command_status"] == {"exited": 0}
    assert checkpoint.stat().st_size == 32 << 20
    assert found["evidence"]["trigger"]["working_set"] > 64 << 20
    assert found["left_behind"] == []


def test_hard_limit_kills_at_once(tmp_path: Path) -> None:
    """A leak that goes on through its grace is killed at the hard limit, not at the grace's end."""
    words = ("leak", "rate=100M", "max=1G", "term=ignore")
    options = ["--hard-limit", "128M", "--grace", "1m"]
    found = outcome(tmp_path, guarded(*words, options=options))
    assert (found["verdict"], found["exit_status"]) == ("hard-limit", 124)
    assert found["command_status"] == {"signalled": signal.SIGKILL}


def test_sharers_are_left_alone(tmp_path: Path) -> None:
    """Workers that share 200 MiB are not shot for the sum of their RSS."""
    target = tmp_path / "outcome.json"
    options = ["--json", str(target)]
    argv = guarded("workers", "count=6", "size=200M", "term=default", limit="256M", options=options)
    with running(argv) as guard:
        guard.wait_start("ready")
        seen = looks(guard.pid)
        wait_until("more looks", lambda: looks(guard.pid) > seen + 5)
        os.kill(guard.pid, signal.SIGTERM)
        assert guard.wait_end() == 128 + signal.SIGTERM
    found = json.loads(target.read_text())
    assert found["verdict"] == "signalled"
    assert found["peak"]["current"] > 1200 << 20
    assert found["peak"]["working_set"] < 256 << 20


def looks(pid: int) -> int:
    """How often `pid` has gone to sleep: the guard looks once each time."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.rpartition("\nvoluntary_ctxt_switches:")[2].split()[0])


def test_short_commands_leave_no_record(tmp_path: Path) -> None:
    """A command that ends at once has its status, and no record is left of it."""
    for directory in existing_runtime_directories():
        directory.close()
    before = {path for path in record_paths() if not held_by_a_guard(path)}
    found = outcome(tmp_path, [*SENTINEL, "--limit", "64M", "--", "true"])
    assert (found["verdict"], found["exit_status"]) == ("exited", 0)
    assert {path for path in record_paths() if not held_by_a_guard(path)} <= before


def record_paths() -> list[str]:
    """All records."""
    found = []
    for directory in existing_runtime_directories():
        names = os.listdir(directory.fd)
        found += [os.path.join(directory.path, name) for name in names if name.startswith(PREFIX)]
        directory.close()
    return found


def held_by_a_guard(path: str) -> bool:
    """Whether some process holds the lock of `path`, as /proc/locks has it; gone is not held."""
    try:
        inode = os.stat(path).st_ino
    except FileNotFoundError:
        return True
    with open("/proc/locks", encoding="ascii") as file:
        return re.search(rf":{inode} ", file.read()) is not None


def test_daemon_is_ended(tmp_path: Path) -> None:
    """A daemon that the command left behind gets the same two steps; the verdict stays exited."""
    pidfile = tmp_path / "pid"
    words = ("daemon", f"pidfile={pidfile}", "stubborn=1", "then=exit", "seconds=90")
    found = outcome(tmp_path, guarded(*words, options=["--grace", "1s"]))
    assert (found["verdict"], found["exit_status"]) == ("exited", 0)
    assert found["survivors_killed"] == 1
    assert process_stat(int(pidfile.read_text())) is None


def test_crowd_is_ended() -> None:
    """Of 500 processes that are over the limit together, none is left."""
    words = ("forks", "count=500", "size=512K", "seconds=110")
    with running(guarded(*words, limit="200M", options=["--grace", "1s"])) as guard:
        wait_until("some of the crowd", lambda: len(descendants(Proc(), guard.pid)) > 50)
        below = descendants(Proc(), guard.pid)
        assert guard.wait_end(PATIENCE_SECONDS) == 124
        assert [who for who in below if lives(who)] == []


def test_options_that_nobody_enforces(tmp_path: Path) -> None:
    """Explicit options that need a cgroup are one warning and stand in the outcome."""
    argv = [*SENTINEL, "--limit", "64M", "--pids", "5", "--cpus", "1", "--", "true"]
    found = outcome(tmp_path, argv)
    assert found["unenforced"] == ["pids", "cpus"]
    assert found["said"].count("--pids") == 1


def test_killed_guard_takes_the_main_process_along() -> None:
    """When Sentinel is SIGKILLed, its command gets the polite signal from the kernel."""
    with running(guarded("hold", "size=1M")) as guard:
        guard.wait_start("ready")
        (main,) = descendants(Proc(), guard.pid)
        wait_until("the record", lambda: records_naming(main.pid))
        guard.process.kill()
        wait_until("the command's end", lambda: not lives(main))
        assert len(records_naming(main.pid)) == 1
        sweep_by_a_new_start()
        assert records_naming(main.pid) == []


def sweep_by_a_new_start() -> None:
    """Run a command under a new Sentinel."""
    argv = [*SENTINEL, "--limit", "64M", "--", "true"]
    subprocess.run(argv, timeout=PATIENCE_SECONDS, check=True)


def test_killed_guard_is_swept_by_the_next(tmp_path: Path) -> None:
    """What a SIGKILLed Sentinel left alive is killed by the next start, and its record removed."""
    pidfile = tmp_path / "pid"
    words = ("daemon", f"pidfile={pidfile}", "stubborn=1", "then=hold", "term=ignore")
    with running(guarded(*words)) as guard:
        guard.wait_start("ready")
        wait_until("the pid", lambda: pidfile.exists() and pidfile.read_text().endswith("\n"))
        daemon = int(pidfile.read_text())
        wait_until("the record", lambda: records_naming(daemon))
        family = descendants(Proc(), guard.pid)
        assert len(family) == 2
        guard.process.kill()
        guard.wait_end()
        assert all(map(lives, family))
        (record,) = records_naming(daemon)
        sweep_by_a_new_start()
        wait_until("the family's end", lambda: not any(map(lives, family)))
        assert not os.path.exists(record)


def test_live_guard_is_not_swept() -> None:
    """A run whose guard lives is not touched by the next start, even if that is stopped."""
    with running(guarded("hold", "size=1M")) as guard:
        guard.wait_start("ready")
        (main,) = descendants(Proc(), guard.pid)
        wait_until("the record", lambda: records_naming(main.pid))
        os.kill(guard.pid, signal.SIGSTOP)
        sweep_by_a_new_start()
        assert lives(main)
        assert len(records_naming(main.pid)) == 1
        os.kill(guard.pid, signal.SIGCONT)
        os.kill(guard.pid, signal.SIGTERM)
        assert guard.wait_end() == 128 + signal.SIGTERM
        assert records_naming(main.pid) == []


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.05, 0.1, 0.3, 0.7, 1.5])
def test_killed_at_any_moment(moment: float, tmp_path: Path) -> None:
    """Whenever Sentinel is SIGKILLed: the command ends, and with the next start the recorded."""
    pidfile = tmp_path / "pid"
    words = ("daemon", f"pidfile={pidfile}", "does=leak", "rate=40M", "max=200M", "then=hold")
    with running(guarded(*words, "seconds=90", options=["--grace", "10s"])) as guard:
        guard.read(moment)
        family = descendants(Proc(), guard.pid)
        main = set(sorted(family, key=lambda who: who.start)[:1])
        guard.process.kill()
        guard.wait_end()
        known = {who for who in family if who in main or records_naming(who.pid)}
        sweep_by_a_new_start()
        wait_until("the end of all that was known", lambda: not any(map(lives, known)))
        assert [path for who in known for path in records_naming(who.pid)] == []
        if pidfile.exists() and pidfile.read_text():
            end(int(pidfile.read_text()))


def end(pid: int) -> None:
    """End a daemon that was not recorded in time: the promise is about the recorded ones."""
    stat = process_stat(pid)
    if stat is not None and stat.name == os.path.basename(victim())[:15]:
        os.kill(pid, signal.SIGKILL)

"""After any end: no survivor, no leaf, no stray file."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from typing import Any

import pytest

from sentinel.linux.runtime import existing_runtime_directories
from sentinel.rss.record import PREFIX, parse_record
from tests.kernel.guarded import (
    PATIENCE,
    PastReady,
    alive,
    ended_at_last,
    guard,
    leaves,
    read,
    run,
    victim_words,
    wait_for,
)

LIMIT = ["--limit", "64M"]
SHORT = [*LIMIT, "--grace", "500ms"]


def members(leaf: str) -> list[int]:
    """Every process in `leaf` and below."""
    return [
        int(word)
        for directory, _, _ in os.walk(leaf)
        for word in read(f"{directory}/cgroup.procs").split()
    ]


def sweep(document: str) -> None:
    """Run a new Sentinel, which says nothing and clears what others have left.

    A start spends a second on that: what takes the machine longer is left to the next.
    """
    for _ in range(5):
        ended = run(LIMIT, ["true"], document)
        assert (ended.verdict, ended.status, ended.stderr) == ("exited", 0, "")
        if not ended.leaves:
            break
    assert leaves() == []


FAMILIES = {
    "500 processes": victim_words("forks", "count=500", "then=hold", "seconds=60"),
    "TERM ignored": victim_words("stubborn", "count=3", "seconds=60"),
    "SIGSTOPped children": victim_words("stopped", "count=3", "seconds=60"),
    "a setsid daemon": victim_words("daemon", "stubborn=1", "seconds=60"),
    "nested cgroups": victim_words("nested", "depth=2", "seconds=60"),
    "a fork churn": victim_words("churn", "width=4", "seconds=60"),
}


QUICK = pytest.mark.kernels("6.1")
CROWDS = ("500 processes", "nested cgroups", "a fork churn")
POINTS = ("running", "pressed")


def some(names: Iterable[str], both: Iterable[str]) -> list[Any]:
    """Parameters `names`, of which the emulated kernel has only those in `both`."""
    return [pytest.param(name, marks=() if name in both else QUICK) for name in names]


@pytest.mark.parametrize("family", some(FAMILIES, CROWDS))
def test_a_timeout_ends_every_family(family: str, tmp_path: object) -> None:
    """Whatever the command has grown into, it is gone when Sentinel is."""
    ended = PastReady().run(SHORT, FAMILIES[family], f"{tmp_path}/outcome")
    assert ended.verdict in ("timeout", "timeout-killed"), ended
    assert ended.status == 124
    assert ended.leaves == []
    assert ended.document["left_behind"] == []


@QUICK
def test_a_stopped_child_gets_its_chance(tmp_path: object) -> None:
    """SIGTERM is followed by CONT: a stopped process can handle it, nobody needs a kill."""
    options = [*LIMIT, "--grace", "60s"]
    ended = PastReady().run(options, FAMILIES["SIGSTOPped children"], f"{tmp_path}/outcome")
    assert ended.verdict == "timeout", ended
    assert ended.document["survivors_killed"] == 0


@QUICK
@pytest.mark.parametrize("stubborn", ["0", "1"])
def test_a_daemon_does_not_outlive_the_command(stubborn: str, tmp_path: object) -> None:
    """The main process ends normally: the verdict stays exited, the daemon is ended and counted."""
    pidfile = f"{tmp_path}/pid"
    words = victim_words("daemon", f"pidfile={pidfile}", f"stubborn={stubborn}", "then=exit")
    ended = run(SHORT, words, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("exited", 0), ended
    assert ended.document["survivors_killed"] == int(stubborn)
    assert not alive(int(read(pidfile)))
    assert ended.leaves == []


@QUICK
def test_a_command_that_leaves_its_leaf_is_still_killed(tmp_path: object) -> None:
    """Root can move itself out of the leaf; the timeout ends it all the same."""
    script = "trap '' TERM; echo 0 > /sys/fs/cgroup/cgroup.procs; echo ready; exec sleep 200"
    ended = PastReady().run(SHORT, ["sh", "-c", script], f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("timeout-killed", 124), ended


@pytest.mark.parametrize("point", some(["starting", "running", "pressed", "stopping"], POINTS))
def test_after_sentinels_own_sigkill_the_next_start_sweeps(point: str, tmp_path: object) -> None:
    """SIGKILL at any point: the next start kills what is left and removes the leaf."""
    options = [*LIMIT, "--grace", "10m"]
    words = victim_words("stubborn", "count=2", "seconds=200")
    if point in ("pressed", "stopping"):
        words = victim_words("hold", "size=80M", "max=80M", "term=ignore", "seconds=200")
    if point == "pressed":
        options += ["--for", "10m"]
    with ended_at_last(guard(options, words)) as process:
        if point == "starting":
            wait_for(leaves, "a leaf")
        else:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("ready")
        if point == "pressed":
            wait_for(lambda: "max" in read(f"{leaves()[0]}/memory.high"), "the wire lifted")
        if point == "stopping":
            assert process.stderr is not None
            wait_for(process.stderr.readline, "the word that SIGTERM was sent")
        process.kill()
        process.wait()
        left = leaves()
        inside = [pid for leaf in left for pid in members(leaf)]
        assert left
        sweep(f"{tmp_path}/outcome")
        assert not any(alive(pid) for pid in inside)


@QUICK
@pytest.mark.limit(600)
def test_sigkill_at_any_of_many_moments(tmp_path: object) -> None:
    """Killed 30 ms later each time, from the leaf to after the kill: the next starts clear all."""
    options = ["--limit", "16M", "--grace", "100ms"]
    words = victim_words("leak", "rate=80M", "max=24M", "term=ignore", "seconds=200")
    inside: set[int] = set()
    killed = []
    for nth in range(20):
        there = set(leaves())
        process = guard(options, words)
        wait_for(lambda there=there: set(leaves()) - there, "its leaf")  # type: ignore[misc]
        moment = time.monotonic() + 0.030 * nth
        while time.monotonic() < moment:
            time.sleep(0.001)
        process.kill()
        process.wait()
        killed.append(process)  # what it left still holds its pipes
        inside.update(pid for leaf in leaves() for pid in members(leaf))
    assert inside
    sweep(f"{tmp_path}/outcome")
    assert not any(alive(pid) for pid in inside)
    for process in killed:
        process.communicate(timeout=PATIENCE)


@QUICK
def test_the_direct_child_gets_the_signal_when_sentinel_dies(tmp_path: object) -> None:
    """The parent-death signal reaches the command within moments, without any sweep."""
    checkpoint = f"{tmp_path}/checkpoint"
    words = victim_words("leak", "rate=1M", "handler=1M", f"checkpoint={checkpoint}")
    with ended_at_last(guard(LIMIT, words)) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        process.kill()
        process.wait()
        wait_for(lambda: os.path.exists(checkpoint), "the checkpoint")
    sweep(f"{tmp_path}/outcome")


@QUICK
def test_what_a_dead_guard_of_rss_left_is_swept_by_a_run_in_a_leaf(tmp_path: object) -> None:
    """Who is recorded is killed by the next start, whatever holds that, and the record removed."""
    words = victim_words("stubborn", "count=3", "seconds=300")
    with ended_at_last(guard([*LIMIT, "--backend", "rss"], words)) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        (family,) = wait_for(lambda: [kin for kin in recorded() if len(kin) == 4], "a whole record")
        process.kill()
        process.wait()
        assert any(alive(pid) for pid in family)
        sweep(f"{tmp_path}/outcome")
        assert (recorded(), [pid for pid in family if alive(pid)]) == ([], [])


def recorded() -> list[list[int]]:
    """The numbers in each record of a run of rss."""
    found = []
    for directory in existing_runtime_directories():
        for name in os.listdir(directory.fd):
            if name.startswith(PREFIX):
                kin = parse_record(read(f"{directory.path}/{name}").encode())
                found.append([member.pid for member in kin.members] if kin else [])
        directory.close()
    return found


def test_a_sweep_leaves_the_living_alone(tmp_path: object) -> None:
    """Another live run's leaf is locked: neither killed nor removed by a second start."""
    with ended_at_last(guard(LIMIT, victim_words("hold", "size=8M", "seconds=200"))) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        before = leaves()
        run(LIMIT, ["true"], f"{tmp_path}/outcome")
        assert leaves() == before
        assert all(members(leaf) for leaf in before)
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    assert leaves() == []


def test_eight_sentinels_at_once() -> None:
    """Eight starts at the same moment do not trip over each other."""
    processes = [guard(LIMIT, ["true"]) for _ in range(8)]
    outputs = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, outputs
    assert leaves() == []


@pytest.mark.lab
@QUICK
def test_a_process_that_cannot_be_killed_is_named(tmp_path: object) -> None:
    """A writer on a frozen file system is in D state: Sentinel gives up after 10 s and names it."""
    disk = os.environ["SENTINEL_SCRATCH"]
    script = f"trap '' TERM; echo $$; echo x >> {disk}/file; exec sleep 200"
    document = f"{tmp_path}/outcome"
    options = [*LIMIT, "--grace", "100ms", "--timeout", "5s", "--json", document]
    subprocess.run(["fsfreeze", "--freeze", disk], check=True)
    with ended_at_last(guard(options, ["sh", "-c", script])) as process:
        try:
            assert process.stdout is not None
            pid = int(process.stdout.readline())
            wait_for(lambda: ") D " in read(f"/proc/{pid}/stat"), "D state")
            process.wait(PATIENCE)
        finally:
            subprocess.run(["fsfreeze", "--unfreeze", disk], check=True)
        with open(document, encoding="utf-8") as file:
            found = json.load(file)
    assert found["verdict"] == "timeout-killed"
    assert [left["pid"] for left in found["left_behind"]] == [pid]
    assert process.returncode == 124
    wait_for(lambda: not alive(pid), "the death of the writer after the thaw")
    sweep(f"{tmp_path}/second")

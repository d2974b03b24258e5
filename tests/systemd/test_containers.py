"""Runs in real containers: what each kind of them gets, and that nothing is left in any."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from typing import NamedTuple

import pytest

from tests.kernel.guarded import PATIENCE, SENTINEL, victim_words
from tests.lab.container import Container, container, enter

MEMORY = 192 << 20
CGROUP = "/sys/fs/cgroup"
FIND = f"find {CGROUP} -name 'sentinel-run-*'"
OUTCOME = "/tmp/outcome"
READ_ONLY = "Read-only file system; for a leaf: mount the cgroup file system writable "


class Told(NamedTuple):
    """What a run in a container ended with."""

    status: int
    document: dict[str, object]
    leaves: list[str]
    stderr: str


def sentinel(*words: str) -> str:
    """A line of shell: a run."""
    return shlex.join([SENTINEL, "exec", "--limit", "64M", *words])


def shown(kind: str, script: str) -> list[str]:
    """Return the lines that a shell printed in a container of `kind`; it must not fail."""
    with container(kind, ["sh", "-c", script], MEMORY) as running:
        stdout, stderr = running.process.communicate(timeout=PATIENCE)
    assert running.process.returncode == 0, stderr
    return stdout.splitlines()


def leaked(kind: str, before: str = "") -> Told:
    """Let a victim leak 80 MiB/s into 64 MiB in a container of `kind`; it saves a checkpoint."""
    leak = victim_words("leak", "rate=80M", "max=160M", "handler=4M", "checkpoint=/tmp/saved")
    # Two of the kinds sample: a machine that stands still must not let them meet the wall.
    patient = ("--grace", "20s", "--hard-limit", "none")
    run = sentinel(*patient, "--json", OUTCOME, "--", *leak)
    script = f"{before}{run} >/dev/null; echo $?; test -s /tmp/saved && cat {OUTCOME}; {FIND}"
    with container(kind, ["sh", "-c", script], MEMORY) as running:
        stdout, stderr = running.process.communicate(timeout=PATIENCE)
    assert len(stdout.splitlines()) >= 2, (stdout, stderr)
    status, document, *leaves = stdout.splitlines()
    return Told(int(status), json.loads(document), leaves, stderr)


def call(argv: list[str]) -> str:
    """Return what a command printed; it must not fail."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, (argv, done.stderr)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("kind", "backend", "said"),
    [
        ("privileged", "cgroup", ""),
        ("unmasked", "cgroup", ""),
        ("host", "cgroup", ""),
        ("default", "cgroup-ro", "observing by cgroup-ro: "),
        ("host-default", "rss", "watching by rss, the fallback: "),
        ("disagreeing", "rss", "own cgroup / is not below any cgroup2 mount"),
    ],
)
def test_a_leak_is_stopped_politely_in_every_kind(kind: str, backend: str, said: str) -> None:
    """The checkpoint is saved, no leaf is left, and less than a leaf is announced first."""
    told = leaked(kind)
    assert (told.status, told.document["verdict"]) == (124, "soft-limit"), told
    assert told.document["backend"] == backend
    assert told.leaves == []
    announced = told.stderr.splitlines()[0]
    if said:
        assert said in announced
        assert ("Read-only file system" in announced) is (kind != "disagreeing")
    else:
        assert "working set" in announced


def test_the_hosts_read_only_tree_is_observed_when_asked_for() -> None:
    """Nobody knows there that the own cgroup is a container's; who does may say so."""
    run = sentinel("--backend", "cgroup-ro", "--json", OUTCOME, "--", "true")
    (document,) = shown("host-default", f"{run} && cat {OUTCOME}")
    assert json.loads(document)["backend"] == "cgroup-ro"


def test_the_containers_limit_is_the_one_above_the_run() -> None:
    """Seen from inside, by the path inside; what exceeds it is warned of by that path."""
    run = sentinel("-v", "--", "true")
    too_much = sentinel("--limit", "600M", "--", "true")
    half = sentinel("-v", "--limit", "50%", "--", "true")
    seen, warned, halved = (
        [line for line in shown("privileged", f"{script} 2>&1") if "above" in line or "%" in line]
        for script in (run, too_much, half)
    )
    assert seen[0].endswith(f"above it {MEMORY}, {CGROUP}/memory.max")
    assert warned[0].startswith("sentinel: the limit 600M is above what this process may use ")
    assert f"{CGROUP}/memory.max" in warned[0]
    assert f"limit {MEMORY // 2} (workingset)" in halved[0]


def run_inside(running: Container) -> str:
    """Where the command of a run is that begins in a container that is entered."""
    words = [SENTINEL, "exec", "--backend", "cgroup", "--limit", "64M", "--"]
    return call(enter(running.name, [*words, "cat", "/proc/self/cgroup"]))


@pytest.mark.parametrize(
    ("kind", "moved"), [("privileged", "/init"), ("host", "/container/sentinel-main")]
)
def test_a_container_can_be_entered_after_a_run_and_during_one(kind: str, moved: str) -> None:
    """Who is added later is put where the first process was moved, and has runs of its own."""
    inner = sentinel("--backend", "cgroup", "--", "sh", "-c", "echo within; read line")
    script = f"echo before; read line; {inner}; echo after; read line"
    with container(kind, ["sh", "-c", script], MEMORY) as running:
        process = running.process
        assert process.stdin is not None
        assert process.stdout is not None
        where = ["cat", "/proc/self/cgroup"]
        seen, runs = [], []
        for moment in ("before", "within", "after"):
            assert process.stdout.readline() == f"{moment}\n"
            seen.append(call(enter(running.name, where)))
            if moment != "before":
                runs.append(run_inside(running))
            process.stdin.write("\n")
            process.stdin.flush()
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert not seen[0].endswith(moved)
    assert [place.endswith(moved) for place in seen[1:]] == [True, True], seen
    top = seen[1].removesuffix(moved.rpartition("/")[2])
    assert [os.path.dirname(place) + "/" for place in runs] == [top, top], runs


def test_a_run_inside_a_run_inside_a_container() -> None:
    """The inner one is in the outer one's leaf, and its leak ends it alone."""
    inner = sentinel("--", *victim_words("leak", "rate=80M", "max=120M"))
    outer = sentinel(
        "--limit", "200M", "--", "sh", "-c", f"{inner}; echo $?; cat /proc/self/cgroup"
    )
    told = shown("privileged", f"{outer}; {FIND}")
    assert told[-2] == "124"
    assert told[-1].startswith("0::/sentinel-run-sh-")
    assert told[-1].endswith("/main")


@pytest.mark.parametrize(("kind", "leaf"), [("default", False), ("privileged", True)])
def test_a_container_in_a_container(kind: str, *, leaf: bool) -> None:
    """After a run outside, one inside: each gets what its own container has to give."""
    engine = [sys.executable, "-m", "tests.lab.container", "--kind", kind, "--memory"]
    run = [SENTINEL, "exec", "--limit", "64M", "-v", "--", "cat", "/proc/self/cgroup"]
    outer = sentinel("--", "cat", "/proc/self/cgroup")
    nested = shlex.join([*engine, str(MEMORY // 2), "--", *run])
    outside, *said = shown("privileged", f"{outer} && {nested} 2>&1; {FIND}")
    assert outside.startswith("0::/sentinel-run-cat-")
    assert any(line.startswith("0::/sentinel-run-cat-") for line in said) is leaf, said
    assert any(READ_ONLY in line for line in said) is not leaf, said
    assert any(f"above it {MEMORY // 2}, {CGROUP}/memory.max" in line for line in said), said
    assert not any(line.startswith(CGROUP) for line in said), said


@pytest.mark.parametrize("kind", ["default", "privileged"])
def test_an_ordinary_user_of_a_container_is_observed(kind: str) -> None:
    """The container's cgroup can be read by everybody, and divided by root alone."""
    told = leaked(kind, "setpriv --reuid 1000 --regid 1000 --clear-groups ")
    assert (told.status, told.document["verdict"]) == (124, "soft-limit"), told
    assert told.document["backend"] == "cgroup-ro"
    announced = told.stderr.splitlines()[0]
    assert "Permission denied; for a leaf: run as root in the container" in announced


def test_an_oom_at_the_containers_own_limit_is_told() -> None:
    """Past a leaf's limits the container's wall is an ancestor's; the container lives on."""
    leak = victim_words("leak", "rate=0", f"max={MEMORY}")
    run = sentinel("--limit", "2G", "--hard-limit", "3G", "--json", OUTCOME, "--", *leak)
    status, *said, document = shown("privileged", f"{run} >/dev/null 2>&1; echo $?; cat {OUTCOME}")
    found = json.loads(document)
    assert (int(status), said, found["verdict"]) == (124, [], "ancestor-limit"), found
    assert found["evidence"]["oom_above"] == CGROUP
    assert found["limits"]["ceiling"] == {"size": MEMORY, "label": f"{CGROUP}/memory.max"}

"""An OOM that was decided above the run: by a cgroup there, out of sight, or by the machine."""

import json
import os
import subprocess
import sys

import pytest

from tests.kernel.cgroupfs import enable, write
from tests.kernel.contained import in_container, sentinel
from tests.kernel.guarded import SENTINEL, Ended, leaves, run, victim_words

LIMIT = ["--limit", "200M", "--hard-limit", "300M"]
LEAK = victim_words("leak", "rate=0", "max=250M")
CEILING = str(80 << 20)


def ceiling(cgroup: str) -> None:
    """Let `cgroup` have 80 MiB, none of it in swap."""
    write(cgroup, "memory.max", CEILING)
    if os.path.exists(f"{cgroup}/memory.swap.max"):
        write(cgroup, "memory.swap.max", "0")


def inside(cgroup: str, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run `words` in `cgroup`."""
    script = 'echo 0 > "$0"/cgroup.procs; exec "$@"'
    return subprocess.run(
        ["sh", "-c", script, cgroup, *words], capture_output=True, text=True, check=False
    )


def test_a_limit_of_a_cgroup_above_is_blamed_by_its_path(leaf: str, tmp_path: object) -> None:
    """124, the path in the line, and the `oom` counted there and not in the leaf."""
    ceiling(leaf)
    words = [SENTINEL, "exec", "--backend", "cgroup", *LIMIT, "--json", f"{tmp_path}/outcome"]
    done = inside(leaf, [*words, "--", *LEAK])
    with open(f"{tmp_path}/outcome", encoding="utf-8") as file:
        ended = Ended(done.returncode, done.stdout, done.stderr, json.load(file))
    assert (ended.verdict, ended.status) == ("ancestor-limit", 124), ended
    assert f": ancestor-limit: the kernel's OOM killer ended it at a limit of {leaf}; " in (
        ended.stderr
    )
    assert ended.document["evidence"]["oom_above"] == leaf
    own, *above = ended.document["evidence"]["counters"]
    assert own["counts"]["oom_kill"] >= 1
    assert "oom" not in own["counts"]
    assert {counter["path"]: "oom" in counter["counts"] for counter in above}[leaf]
    assert leaves(leaf) == []


def test_a_limit_out_of_sight_is_said_to_be(leaf: str) -> None:
    """In a container whose own cgroup has no limit, but one above it has."""
    ceiling(leaf)
    enable(leaf)
    os.mkdir(f"{leaf}/box")
    status, _, stderr = in_container(f"{leaf}/box", sentinel(*LIMIT, "--", *LEAK))
    assert status == 124, stderr
    assert "ancestor-limit: the kernel's OOM killer ended it at a limit above this cgroup" in stderr


@pytest.mark.parametrize("name", ["memory.max", "memory.high"])
def test_the_tightest_limit_above_is_found_and_shown(
    leaf: str, tmp_path: object, name: str
) -> None:
    """Two levels up, wall or brake: percentages are of it, -v, document and doctor name it."""
    write(leaf, "memory.max", str(900 << 20))
    write(leaf, name, str(120 << 20))
    enable(leaf)
    os.mkdir(f"{leaf}/a")
    enable(f"{leaf}/a")
    # One for each: nobody can be put where a run has divided.
    first, second, third = (f"{leaf}/a/{name}" for name in ("b", "c", "d"))
    for box in (first, second, third):
        os.mkdir(box)
    write(f"{leaf}/a", "memory.max", str(500 << 20))
    exec_ = [SENTINEL, "exec", "--backend", "cgroup"]
    half = inside(
        first, [*exec_, "-v", "--limit", "50%", "--json", f"{tmp_path}/outcome", "--", "true"]
    )
    assert half.returncode == 0, half
    told = half.stderr.splitlines()[0]
    assert f", limit {60 << 20} (workingset), hard limit {int((120 << 20) * 0.95)}," in told
    assert told.endswith(f", above it {120 << 20}, {leaf}/{name}")
    with open(f"{tmp_path}/outcome", encoding="utf-8") as file:
        limits = json.load(file)["limits"]
    assert limits["ceiling"] == {"size": 120 << 20, "label": f"{leaf}/{name}"}
    more = inside(second, [*exec_, "--limit", "150M", "--hard-limit", "none", "--", "true"])
    assert more.returncode == 0
    assert more.stderr == (
        f"sentinel: the limit 150M is above what this process may use (120M, {leaf}/{name}), "
        "which is reached first; lower it\n"
    )
    doctor = inside(third, [SENTINEL, "doctor", "-v"])
    assert f"limit above     ok: 120M, {leaf}/{name}\n" in doctor.stdout


@pytest.mark.lab
def test_a_machine_that_runs_out_is_blamed(tmp_path: object) -> None:
    """No limit was enforced: the exit status is the command's own."""
    leak = "held = []\nwhile True: held.append(bytearray(b'x') * (1 << 20))"
    words = [sys.executable, "-I", "-c", leak]
    ended = run(["--limit", "8G", "--hard-limit", "none"], words, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("host-oom", 137), ended
    assert ended.document["evidence"]["oom_above"] == "the machine"
    assert ended.leaves == []

"""Where a run's leaf is made, and that the command is born in it."""

import os
import subprocess

import pytest

from tests.kernel.guarded import SENTINEL, leaves, own_directory, read, run, victim_words

LIMIT = ["--limit", "64M"]
WHERE = ["cat", "/proc/self/cgroup"]


def test_the_command_is_born_in_a_leaf_of_its_own(tmp_path: object) -> None:
    """Its first instruction runs inside, under limits that are already in force."""
    script = 'c=$(cut -d: -f3 /proc/self/cgroup); echo "$c"; cd "/sys/fs/cgroup$c"; cat '
    script += "memory.high memory.max memory.oom.group"
    ended = run([*LIMIT, "--name", "my job"], ["sh", "-c", script], f"{tmp_path}/outcome")
    path, high, wall, group = ended.stdout.split("\n")[:4]
    assert os.path.basename(path).startswith("sentinel-run-my_job-")
    assert (int(high), int(wall), group) == (64 << 20, 128 << 20, "1")


def test_no_user_page_is_charged_elsewhere(tmp_path: object) -> None:
    """The 16 MiB that the command touches at once stand in its own memory.peak."""
    if not os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        pytest.fail("this kernel test needs a cgroup v2 root")
    ended = run(LIMIT, victim_words("hold", "size=16M", "seconds=1"), f"{tmp_path}/outcome")
    assert ended.document["peak"]["current"] >= 16 << 20


@pytest.mark.kernels("6.1")
def test_a_nested_run_stays_inside_the_outer_one(tmp_path: object) -> None:
    """Sentinel inside Sentinel: the inner leaf is in the outer leaf, beside `main`."""
    inner = [SENTINEL, "exec", "--backend", "cgroup", "--limit", "32M", "--", *WHERE]
    ended = run(LIMIT, inner, f"{tmp_path}/outcome")
    path = ended.stdout.strip().removeprefix("0::")
    outer, own = os.path.split(path)
    assert os.path.basename(outer).startswith("sentinel-run-")
    assert own.startswith("sentinel-run-cat-")
    assert ended.status == 0
    assert ended.leaves == []


@pytest.mark.kernels("6.1")
def test_the_outer_limit_holds_for_the_inner_run(tmp_path: object) -> None:
    """An inner run with a larger limit is ended by the outer one, politely and whole."""
    leak = victim_words("leak", "rate=80M", "max=150M")
    inner = [SENTINEL, "exec", "--backend", "cgroup", "--limit", "200M", "--", *leak]
    ended = run(LIMIT, inner, f"{tmp_path}/outcome")
    assert ended.verdict == "soft-limit", ended
    assert ended.status == 124
    assert ended.leaves == []


def test_two_inner_runs_share_the_outer_leaf(tmp_path: object) -> None:
    """A second nested run finds the outer leaf already split, and both end clean."""
    one = f"{SENTINEL} exec --backend cgroup --limit 32M -- cat /proc/self/cgroup"
    ended = run(LIMIT, ["sh", "-c", f"{one}; {one} & {one}; wait"], f"{tmp_path}/outcome")
    lines = ended.stdout.split()
    assert len({os.path.dirname(line) for line in lines}) == 1, lines
    assert len(lines) == 3
    assert ended.leaves == []


def test_a_cgroup_of_our_own_is_used_after_moving_out_of_the_way(
    leaf: str, tmp_path: object
) -> None:
    """Started in a non-root cgroup: what is there moves into a child so that memory can be had."""
    script = f"echo 0 > {leaf}/cgroup.procs; exec {SENTINEL} exec --backend cgroup --limit 64M"
    script += f" --json {tmp_path}/outcome -- cat /proc/self/cgroup"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert os.path.dirname("/sys/fs/cgroup" + done.stdout.strip().removeprefix("0::")) == leaf
    assert leaves(leaf) == []


@pytest.mark.kernels("6.1")
def test_a_cgroup_without_memory_fails_closed(leaf: str) -> None:
    """Memory not delegated: --backend cgroup is refused in one line, and nothing was started."""
    os.mkdir(f"{leaf}/inner")
    script = f"echo 0 > {leaf}/inner/cgroup.procs; exec {SENTINEL} exec --backend cgroup"
    script += " --limit 64M -- echo started"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 125
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "memory controller is not delegated" in line
    assert "cgroup.subtree_control" in line


@pytest.mark.kernels("6.1")
def test_a_limit_above_an_ancestors_is_one_warning(leaf: str) -> None:
    """The path of the tighter limit is named; the command runs."""
    with open(f"{leaf}/memory.max", "w", encoding="utf-8") as file:
        file.write(str(96 << 20))
    script = f"echo 0 > {leaf}/cgroup.procs; exec {SENTINEL} exec --limit 128M -- echo started"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "started\n")
    (line,) = done.stderr.splitlines()
    assert f"{leaf}/memory.max" in line


@pytest.mark.kernels("6.1")
def test_a_full_cgroup_is_a_failure_to_start(leaf: str) -> None:
    """A leaf that cannot be made: 125 with operation, path and errno, and nothing started."""
    script = f"echo 0 > {leaf}/cgroup.procs; echo 0 > {leaf}/cgroup.max.descendants;"
    script += f" exec {SENTINEL} exec --backend cgroup --limit 64M -- echo started"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (125, "")
    assert "mkdir" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_own_directory_is_where_the_suite_runs() -> None:
    """The harness looks for leaves where Sentinel makes them."""
    assert read(f"{own_directory()}/cgroup.procs")

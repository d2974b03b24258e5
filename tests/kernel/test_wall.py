"""memory.max as the wall: OOM kills at it are told from everything else."""

import pytest

from tests.kernel.guarded import run, victim_words

LIMIT = ["--limit", "64M", "--hard-limit", "80M"]


def test_an_oom_kill_at_the_wall_is_a_hard_limit(tmp_path: object) -> None:
    """A run that is patient (`--for`) meets the wall first; the kernel ends the whole leaf."""
    words = victim_words("leak", "rate=0", "max=200M")
    ended = run([*LIMIT, "--for", "10m"], words, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("hard-limit", 124), ended
    assert ended.document["command_status"] == {"signalled": 9}
    assert ended.leaves == []
    (leaf,) = (c for c in ended.document["evidence"]["counters"] if "sentinel-run" in c["path"])
    assert leaf["counts"]["oom"] >= 1
    assert leaf["counts"]["oom_kill"] >= 1


@pytest.mark.kernels("6.1")
def test_preserve_status_shows_the_commands_own(tmp_path: object) -> None:
    """`--preserve-status`: 137 for the SIGKILL instead of 124."""
    words = victim_words("leak", "rate=0", "max=200M")
    ended = run([*LIMIT, "--for", "10m", "--preserve-status"], words, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("hard-limit", 137)


def test_a_member_that_the_oom_killer_may_not_touch(tmp_path: object) -> None:
    """oom_score_adj -1000: `oom` rises with nobody killed; after a second Sentinel kills."""
    words = victim_words("leak", "rate=0", "max=200M", "oom_score_adj=-1000")
    ended = run([*LIMIT, "--for", "10m"], words, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("hard-limit", 124), ended
    assert ended.leaves == []


@pytest.mark.kernels("6.1")
def test_a_kill_from_outside_is_no_limit(tmp_path: object) -> None:
    """SIGKILL by somebody else: signalled, 137, no counter moved."""
    ended = run(LIMIT, ["sh", "-c", "kill -KILL $$"], f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("signalled", 137)
    assert ended.document["evidence"]["counters"] == []


def test_swap_pids_and_cpus_reach_the_kernel(tmp_path: object) -> None:
    """In the command's own cgroup; by default no swap, which would hide a leak."""
    script = 'cd "/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)"'
    swap = f"{script}; cat memory.swap.max"
    plain = run(LIMIT, ["sh", "-c", swap], f"{tmp_path}/outcome")
    assert plain.stdout == "0\n"
    options = [*LIMIT, "--swap", "8M", "--pids", "7", "--cpus", "0.5"]
    asked = run(options, ["sh", "-c", f"{swap} pids.max cpu.max"], f"{tmp_path}/outcome")
    assert asked.stdout == f"{8 << 20}\n7\n50000 100000\n"
    assert asked.document["unenforced"] == []

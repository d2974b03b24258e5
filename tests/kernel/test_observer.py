"""A container whose cgroup tree is read-only: watched as a whole, ended by signals."""

import json
import os
import shlex

from tests.kernel.cgroupfs import write
from tests.kernel.contained import in_container
from tests.kernel.guarded import SENTINEL, Ended, own_directory, run, victim_words

REMEDY = "for a leaf: mount the cgroup file system writable (docker run --privileged)"


def observed(cgroup: str, options: list[str], command: list[str], outcome: str) -> Ended:
    """Run `sentinel exec` in a container over `cgroup` that can only read it."""
    words = [SENTINEL, "exec", "--limit", "64M", "--json", outcome, *options, "--", *command]
    status, stdout, stderr = in_container(cgroup, shlex.join(words), options="ro")
    with open(outcome, encoding="utf-8") as file:
        found = json.load(file)
    os.unlink(outcome)
    return Ended(status, stdout, stderr, found)


def test_a_leak_is_stopped_politely_and_the_backend_is_announced(
    leaf: str, tmp_path: object
) -> None:
    """One line with reason and remedy, the checkpoint saved, the verdict as with a leaf."""
    saved = f"{tmp_path}/saved"
    leak = victim_words("leak", "rate=80M", "max=120M", "handler=4M", f"checkpoint={saved}")
    ended = observed(leaf, ["--grace", "20s"], leak, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("soft-limit", 124), ended
    assert ended.document["backend"] == "cgroup-ro"
    assert ended.document["command_status"] == {"exited": 0}
    assert os.path.exists(saved)
    announced = ended.stderr.splitlines()[0]
    assert announced.startswith("sentinel: observing by cgroup-ro: ")
    assert announced.endswith(REMEDY)


def test_a_reader_of_files_is_left_alone(leaf: str, scratch: str, tmp_path: object) -> None:
    """Four times the limit in page cache, which nobody reclaims here, is no reason."""
    words = victim_words("read", f"file={scratch}/data", "size=256M", "seconds=4")
    ended = observed(leaf, [], words, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("exited", 0), ended
    assert ended.document["peak"]["current"] > 128 << 20
    assert ended.document["peak"]["working_set"] < 32 << 20
    assert not ended.asked


def test_a_maker_of_names_is_left_alone(leaf: str, scratch: str, tmp_path: object) -> None:
    """Slab that reclaim could free does not count either."""
    words = victim_words("names", f"dir={scratch}", "seconds=4")
    ended = observed(leaf, [], words, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.asked) == ("exited", False), ended


def test_what_was_there_before_does_not_count(leaf: str, tmp_path: object) -> None:
    """A neighbour in the container that holds more than the limit costs the run nothing."""
    outcome = f"{tmp_path}/outcome"
    hold = shlex.join(victim_words("hold", "size=80M", "seconds=60"))
    words = [SENTINEL, "exec", "--limit", "64M", "--json", outcome, "--"]
    words += victim_words("hold", "size=16M", "seconds=2")
    script = f"{hold} > {tmp_path}/ready & until test -s {tmp_path}/ready; do sleep 0.1; done;"
    script += f" {shlex.join(words)}; s=$?; kill $!; exit $s"
    status, _, stderr = in_container(leaf, script, options="ro")
    assert status == 0, stderr
    with open(outcome, encoding="utf-8") as file:
        document = json.load(file)
    assert document["verdict"] == "exited"
    assert 16 << 20 <= document["peak"]["working_set"] < 40 << 20


def test_who_ignores_the_signal_is_killed(leaf: str, tmp_path: object) -> None:
    """The second step, by SIGKILL to each process."""
    leak = victim_words("leak", "rate=20M", "max=70M", "term=ignore")
    ended = observed(leaf, ["--grace", "300ms"], leak, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("soft-limit-killed", 124), ended


def test_the_hard_limit_is_sampled_too(leaf: str, tmp_path: object) -> None:
    """A run that is patient about the soft limit ends at the hard one."""
    leak = victim_words("leak", "rate=80M", "max=160M", "term=ignore")
    ended = observed(leaf, ["--for", "60s", "--hard-limit", "96M"], leak, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("hard-limit", 124), ended
    assert "in a cgroup that cannot hold it" in ended.stderr


def test_an_oom_at_the_containers_own_limit_is_told(leaf: str, tmp_path: object) -> None:
    """The container's wall is above the run: ancestor-limit, by the path seen inside."""
    write(leaf, "memory.max", str(64 << 20))
    if os.path.exists(f"{leaf}/memory.swap.max"):
        write(leaf, "memory.swap.max", "0")
    leak = victim_words("leak", "rate=0", "max=200M")
    ended = observed(leaf, ["--limit", "200M"], leak, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("ancestor-limit", 124), ended
    assert ended.document["evidence"]["oom_above"] == "/sys/fs/cgroup"


def test_by_name_it_is_refused_where_nothing_can_be_read(tmp_path: object) -> None:
    """The root cgroup has no memory.current."""
    assert own_directory() == "/sys/fs/cgroup"
    ended = run(["--backend", "cgroup-ro", "--limit", "64M"], ["true"], f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("failed-to-start", 125), ended
    assert "no cgroup for --backend cgroup-ro: " in ended.stderr

"""A container whose cgroup tree is read-only: watched as a whole, ended by signals."""

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kernel.cgroupfs import write
from tests.kernel.contained import contained, in_container
from tests.kernel.guarded import (
    PATIENCE,
    SENTINEL,
    Ended,
    ended_at_last,
    own_directory,
    run,
    victim_words,
)

REMEDY = "for a leaf: mount the cgroup file system writable (docker run --privileged)"


@contextmanager
def swap(path: str, size: int) -> Iterator[None]:
    """Swap to a file of `size` bytes on a real disk, for the time being."""
    with open(path, "wb") as file:
        block = bytes(1 << 20)
        file.writelines(block for _ in range(size >> 20))
        os.fchmod(file.fileno(), 0o600)
        os.fsync(file.fileno())
    for tool in (["mkswap", path], ["swapon", path]):
        subprocess.run(tool, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["swapoff", path], check=True)


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
    words = victim_words("read", f"file={scratch}/data", "size=256M", "seconds=4", "least=200M")
    ended = observed(leaf, [], words, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("exited", 0), ended
    assert ended.document["peak"]["current"] > 128 << 20
    assert ended.document["peak"]["working_set"] < 32 << 20
    assert not ended.asked


@pytest.mark.kernels("6.1")
def test_a_maker_of_names_is_left_alone(leaf: str, scratch: str, tmp_path: object) -> None:
    """Slab that reclaim could free does not count either."""
    words = victim_words("names", f"dir={scratch}", "seconds=4")
    ended = observed(leaf, [], words, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.asked) == ("exited", False), ended


@pytest.mark.kernels("6.1")
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


@pytest.mark.kernels("6.1")
def test_who_ignores_the_signal_is_killed(leaf: str, tmp_path: object) -> None:
    """The second step, by SIGKILL to each process."""
    leak = victim_words("hold", "size=80M", "max=80M", "term=ignore", "seconds=60")
    ended = observed(leaf, ["--grace", "300ms"], leak, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("soft-limit-killed", 124), ended


@pytest.mark.kernels("6.1")
def test_the_hard_limit_is_sampled_too(leaf: str, tmp_path: object) -> None:
    """A run that is patient about the soft limit ends at the hard one."""
    leak = victim_words("leak", "rate=80M", "max=160M", "term=ignore")
    ended = observed(leaf, ["--for", "60s", "--hard-limit", "96M"], leak, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("hard-limit", 124), ended
    assert "in a cgroup that cannot hold it" in ended.stderr


MASK = "mount --bind /dev/null /sys/fs/cgroup/{}"


@pytest.mark.kernels("6.1")
def test_masked_memory_files_lead_on_to_rss(leaf: str, tmp_path: object) -> None:
    """A file that an engine hid behind /dev/null says nothing, which is not 0."""
    words = [SENTINEL, "exec", "--limit", "64M", "--json", f"{tmp_path}/outcome", "--", "true"]
    script = f"{MASK.format('memory.stat')} && {shlex.join(words)}"
    status, _, stderr = in_container(leaf, script, options="ro")
    assert status == 0, stderr
    (line,) = stderr.splitlines()
    assert line == (
        "sentinel: watching by rss, the fallback: cannot read /sys/fs/cgroup/memory.stat: No data "
        "available; for a cgroup: let the container read its /sys/fs/cgroup"
    )
    with open(f"{tmp_path}/outcome", encoding="utf-8") as file:
        assert json.load(file)["backend"] == "rss"


@pytest.mark.kernels("6.1")
def test_by_name_masked_memory_files_are_refused(leaf: str) -> None:
    """--backend cgroup-ro fails closed."""
    words = [SENTINEL, "exec", "--backend", "cgroup-ro", "--limit", "64M", "--", "echo", "started"]
    script = f"{MASK.format('memory.current')} && {shlex.join(words)}"
    status, stdout, stderr = in_container(leaf, script, options="ro")
    assert (status, stdout) == (125, "")
    assert "no cgroup for --backend cgroup-ro: cannot read /sys/fs/cgroup/memory.stat" in stderr


@pytest.mark.kernels("6.1")
def test_without_event_counters_a_leak_is_stopped_all_the_same(leaf: str, tmp_path: object) -> None:
    """memory.events tells of an OOM only."""
    leak = victim_words("leak", "rate=80M", "max=120M")
    words = [SENTINEL, "exec", "--limit", "64M", "--json", f"{tmp_path}/outcome", "--", *leak]
    masks = [MASK.format(name) for name in ("memory.events", "memory.events.local")]
    script = " && ".join([*masks, shlex.join(words)])
    status, _, stderr = in_container(leaf, script, options="ro")
    assert status == 124, stderr
    with open(f"{tmp_path}/outcome", encoding="utf-8") as file:
        found = json.load(file)
    assert (found["verdict"], found["backend"]) == ("soft-limit", "cgroup-ro")
    assert found["evidence"]["oom_above"] is None


@pytest.mark.kernels("6.1")
def test_memory_that_cannot_be_read_any_more_is_told_once(leaf: str, tmp_path: object) -> None:
    """The run goes on without it, and is watched again when it comes back."""
    hold = shlex.join(victim_words("hold", "size=80M", "seconds=300"))
    wait = f"until test -e {tmp_path}/{{0}}; do sleep 0.05; done"
    words = [SENTINEL, "exec", "--limit", "64M", "--json", f"{tmp_path}/outcome", "--"]
    run = shlex.join([*words, "sh", "-c", f"{wait.format('back')}; exec {hold}"])
    script = (
        f"{run} & {wait.format('mask')}; {MASK.format('memory.stat')}; {wait.format('unmask')};"
    )
    script += f" umount /sys/fs/cgroup/memory.stat; touch {tmp_path}/back; wait $!"
    with ended_at_last(contained(leaf, script, options="ro")) as container:
        assert container.stderr is not None
        assert container.stderr.readline().startswith("sentinel: observing by cgroup-ro: ")
        Path(f"{tmp_path}/mask").touch()
        assert container.stderr.readline().startswith(
            "sentinel: sh: degraded: cannot read /sys/fs/cgroup/memory.stat: No data available"
        )
        Path(f"{tmp_path}/unmask").touch()
        container.communicate(timeout=PATIENCE)
    assert container.returncode == 124
    with open(f"{tmp_path}/outcome", encoding="utf-8") as file:
        found = json.load(file)
    assert found["verdict"] == "soft-limit"
    assert [moment["what"] for moment in found["timeline"]].count("degraded") == 1


@pytest.mark.lab
def test_what_was_swapped_out_counts(leaf: str, scratch: str, tmp_path: object) -> None:
    """The container swaps, and its own wall is below the run's limit: the leak is stopped."""
    if not os.path.exists(f"{leaf}/memory.swap.max"):
        pytest.fail("this kernel does not count swap")
    with swap(f"{scratch}/swap", 256 << 20):
        write(leaf, "memory.max", str(40 << 20))
        leak = victim_words("leak", "rate=40M", "max=200M")
        ended = observed(leaf, ["--hard-limit", "none"], leak, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("soft-limit", 124), ended
    trigger = ended.document["evidence"]["trigger"]
    assert trigger["working_set"] >= 64 << 20
    assert trigger["composition"]["anon"] > 48 << 20  # more than its wall lets be in memory


def test_an_oom_at_the_containers_own_limit_is_told(leaf: str, tmp_path: object) -> None:
    """The container's wall is above the run: ancestor-limit, by the path seen inside."""
    write(leaf, "memory.max", str(64 << 20))
    if os.path.exists(f"{leaf}/memory.swap.max"):
        write(leaf, "memory.swap.max", "0")
    leak = victim_words("leak", "rate=0", "max=200M")
    ended = observed(leaf, ["--limit", "200M"], leak, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("ancestor-limit", 124), ended
    assert ended.document["evidence"]["oom_above"] == "/sys/fs/cgroup"


@pytest.mark.kernels("6.1")
def test_by_name_it_is_refused_where_nothing_can_be_read(tmp_path: object) -> None:
    """The root cgroup has no memory.current."""
    assert own_directory() == "/sys/fs/cgroup"
    ended = run(["--backend", "cgroup-ro", "--limit", "64M"], ["true"], f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("failed-to-start", 125), ended
    assert "no cgroup for --backend cgroup-ro: " in ended.stderr

"""Inside a container: where the leaf is made, and what becomes of the container's processes."""

import errno
import os
import shlex

import pytest

from tests.kernel.cgroupfs import enable, write
from tests.kernel.contained import contained, in_container, put_into, sentinel
from tests.kernel.guarded import (
    PATIENCE,
    SENTINEL,
    ended_at_last,
    leaves,
    read,
    victim_words,
    wait_for,
)
from tests.lab.capability import lab_kernel

OWN = "cat /proc/self/cgroup"
RUN = sentinel("--limit", "64M", "--", "cat", "/proc/self/cgroup")


def test_a_container_root_hands_out_memory_once_its_processes_moved_into_init(leaf: str) -> None:
    """The command's leaf is at the namespace's root; everybody else is in `init`."""
    status, stdout, stderr = in_container(leaf, f"sleep 60 & {RUN}; s=$?; {OWN}; kill $!; exit $s")
    assert (status, stderr) == (0, "")
    of_the_run, of_the_shell = stdout.splitlines()
    assert of_the_run.startswith("0::/sentinel-run-cat-")
    assert of_the_shell == "0::/init"
    assert "memory" in read(f"{leaf}/cgroup.subtree_control").split()
    assert leaves(leaf) == []


@pytest.mark.kernels("6.1")
def test_the_second_run_of_a_container_starts_beside_init(leaf: str) -> None:
    """What was moved finds its place again, and nothing is nested in `init`."""
    status, stdout, stderr = in_container(leaf, f"{RUN} && {RUN}")
    assert (status, stderr) == (0, "")
    assert [line.startswith("0::/sentinel-run-cat-") for line in stdout.splitlines()] == [True] * 2
    assert leaves(leaf) == []


@pytest.mark.kernels("6.1")
def test_eight_runs_at_once_in_a_fresh_container(leaf: str) -> None:
    """They race to move the same processes, and each command is still born in its own leaf."""
    script = "".join(f"{RUN} & " for _ in range(8)) + "wait"
    status, stdout, stderr = in_container(leaf, script)
    assert (status, stderr) == (0, "")
    places = stdout.splitlines()
    assert len(set(places)) == 8
    assert all(place.startswith("0::/sentinel-run-cat-") for place in places), places
    assert leaves(leaf) == []


@pytest.mark.limit(300)
def test_two_runs_at_once_in_fresh_containers(leaf: str) -> None:
    """Again and again: who comes second finds the other's work, done or half done."""
    enable(leaf)
    boxes = [f"{leaf}/box{number}" for number in range(10 if lab_kernel() != "6.12" else 3)]
    for box in boxes:
        os.mkdir(box)
    ended = [(box, in_container(box, f"{RUN} & {RUN} & wait")) for box in boxes]
    assert [(status, stderr) for _, (status, _, stderr) in ended] == [(0, "")] * len(boxes)
    for box, (_, stdout, _) in ended:
        first, second = stdout.splitlines()
        assert first != second
        assert first.startswith("0::/sentinel-run-cat-")
        assert second.startswith("0::/sentinel-run-cat-")
        assert leaves(box) == []


@pytest.mark.kernels("6.1")
def test_a_process_of_another_user_moves_along(leaf: str) -> None:
    """The container is moved whole: a service that dropped its privileges is no obstacle."""
    drop = "setpriv --reuid 65534 --clear-groups sleep 60"
    status, stdout, stderr = in_container(leaf, f"{drop} & {RUN}; s=$?; kill $!; exit $s")
    assert (status, stderr) == (0, "")
    assert stdout.startswith("0::/sentinel-run-cat-")


@pytest.mark.kernels("6.1")
def test_nothing_can_be_put_into_the_root_any_more(leaf: str) -> None:
    """The documented trap: a plain write of a new process fails with EBUSY, into `init` not."""
    with ended_at_last(contained(leaf, f"{RUN} >/dev/null; echo moved; cat")) as container:
        assert container.stdout is not None
        assert container.stdout.readline() == "moved\n"
        assert put_into(leaf, "sleep", "60") == errno.EBUSY
        assert put_into(f"{leaf}/init", "sleep", "60") == 0


@pytest.mark.kernels("6.1")
def test_what_crun_adds_later_has_runs_of_its_own(leaf: str) -> None:
    """`podman exec` under crun starts in `crun-exec`: the leaf is made at the root."""
    later = f"{RUN} >/dev/null; mkdir /sys/fs/cgroup/crun-exec;"
    later += f" echo 0 > /sys/fs/cgroup/crun-exec/cgroup.procs; {RUN}"
    status, stdout, stderr = in_container(leaf, later)
    assert (status, stderr) == (0, "")
    assert stdout.startswith("0::/sentinel-run-cat-")


@pytest.mark.kernels("6.1")
def test_a_read_only_tree_fails_closed(leaf: str) -> None:
    """An ordinary container: --backend cgroup is refused in one line with what would help."""
    run = RUN.replace("cat /proc/self/cgroup", "echo started")
    status, stdout, stderr = in_container(leaf, run, options="ro")
    assert (status, stdout) == (125, "")
    (line,) = stderr.splitlines()
    assert "Read-only file system" in line
    assert "docker run --privileged" in line


def test_a_tree_of_the_host_that_was_bound_in_is_not_taken_for_ours(leaf: str) -> None:
    """Path and mount disagree (a private namespace, the host's tree): refused, not guessed."""
    status, stdout, stderr = in_container(leaf, RUN, options="")
    assert (status, stdout) == (125, "")
    (line,) = stderr.splitlines()
    assert "own cgroup / is not below any cgroup2 mount" in line


@pytest.mark.kernels("6.1")
def test_without_a_cgroup_file_system_there_is_rss(leaf: str) -> None:
    """Nobody mounted one: said in one line, and the run goes on with what can be had."""
    run = shlex.join([SENTINEL, "exec", "--limit", "64M", "--", "echo", "started"])
    status, stdout, stderr = in_container(leaf, f"umount /sys/fs/cgroup && {run}")
    assert (status, stdout) == (0, "started\n"), stderr
    assert stderr == (
        "sentinel: watching by rss, the fallback: no cgroup v2 hierarchy is mounted; for a cgroup: "
        "boot with systemd.unified_cgroup_hierarchy=1 or mount cgroup2 on /sys/fs/cgroup\n"
    )


@pytest.mark.kernels("6.1")
def test_who_was_moved_out_of_the_container_is_told_so(leaf: str) -> None:
    """/proc/self/cgroup reads /../other: no cgroup of ours, and nobody guesses one."""
    enable(leaf)
    for name in ("box", "other"):
        os.mkdir(f"{leaf}/{name}")
    run = shlex.join([SENTINEL, "exec", "--limit", "64M", "--", "echo", "started"])
    script = f"echo $$; read line; {OWN}; {run}; exec cat"
    with ended_at_last(contained(f"{leaf}/box", script)) as container:
        assert container.stdout is not None
        pid = container.stdout.readline().strip()
        write(f"{leaf}/other", "cgroup.procs", pid)
        stdout, stderr = container.communicate("\n", timeout=PATIENCE)
    assert stdout == "0::/../other\nstarted\n"
    assert stderr == (
        "sentinel: watching by rss, the fallback: this process is in /../other, outside its cgroup "
        "namespace; for a cgroup: start it inside the container's own cgroup namespace\n"
    )


@pytest.mark.kernels("6.1")
@pytest.mark.parametrize("tasks", [2, 60])
def test_a_container_with_few_tasks(leaf: str, tasks: int) -> None:
    """Sentinel has one task of its own; what does not fit any more is told as what it is."""
    write(leaf, "pids.max", str(tasks))
    status, stdout, stderr = in_container(leaf, sentinel("--limit", "64M", "--", "echo", "started"))
    if tasks == 60:
        assert (status, stdout, stderr) == (0, "started\n", "")
    else:
        assert (status, stdout) == (125, "")
        assert "Resource temporarily unavailable" in stderr
    assert leaves(leaf) == []


def test_the_leak_of_a_container_is_stopped_politely(leaf: str) -> None:
    """The whole way: a run in the container's leaf has its wire, its grace and its verdict."""
    words = victim_words("leak", "rate=80M", "max=120M")
    script = sentinel("--limit", "64M", "--", *words)
    status, _, stderr = in_container(leaf, script)
    assert status == 124, stderr
    assert ": soft-limit: " in stderr
    wait_for(lambda: not leaves(leaf), "the leaf is removed")


def test_doctor_in_a_container_has_nothing_to_improve(leaf: str) -> None:
    """A step that does not suit the place is passed over, not a fault."""
    status, stdout, stderr = in_container(leaf, f"{SENTINEL} doctor -v")
    assert (status, stderr) == (0, "")
    assert "ok: passed over: /sys/fs/cgroup is the root of a cgroup namespace\n" in stdout
    assert stdout.splitlines()[-1] == "a run gets      cgroup"

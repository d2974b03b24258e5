"""Places where no leaf can be had: the next step with the reason kept, or one line."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.kernel.guarded import SENTINEL, wait_for
from tests.systemd.runs import LIMIT, SHOW, SOON, TOP, call, nothing_is_left, places, words

BAD = f"{TOP}/lab-bad"
SERVICE = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "-p", "Delegate=yes"]
ALLOW = f'echo "$0" >{TOP}$(cut -d: -f3 /proc/self/cgroup)/cgroup.max.descendants && exec "$@"'


@pytest.fixture
def bad() -> Iterator[str]:
    """Give a cgroup of nobody's, which is gone afterwards."""
    os.mkdir(BAD)
    yield BAD

    def removed() -> bool:
        return subprocess.run(["rmdir", BAD], check=False, capture_output=True).returncode == 0

    wait_for(removed, f"{BAD} is empty", SOON)


def inside(directory: str, argv: list[str]) -> list[str]:
    """The command line that runs `argv` in the cgroup at `directory`."""
    return ["sh", "-c", f'echo 0 >{directory}/cgroup.procs && exec "$@"', "sh", *argv]


def first_step(argv: list[str]) -> str:
    """What the doctor says about the first step, where a later one has found a place."""
    done = call(argv)
    assert (done.returncode, done.stderr) == (0, ""), done
    rows = {row[:15].strip(): row[16:] for row in done.stdout.splitlines()}
    assert rows["a run gets"] == "cgroup"
    return rows["own subtree"]


DOCTOR = [SENTINEL, "doctor", "-v"]


def test_a_threaded_cgroup(bad: str) -> None:
    """Only threads may be distributed there: a scope takes us out of it."""
    with open(f"{bad}/cgroup.type", "w", encoding="ascii") as file:
        file.write("threaded")
    assert first_step(inside(bad, DOCTOR)) == f"ok: passed over: {bad} is threaded"
    _, guard = places(call(inside(bad, words("--", *SHOW))))
    assert guard.startswith("0::/system.slice/sentinel-")
    nothing_is_left()


def test_a_delegated_cgroup_that_may_have_no_child() -> None:
    """cgroup.max.descendants (EAGAIN): the first step ends there, a scope is had."""
    limited = [*SERVICE, "sh", "-c", ALLOW, "0"]
    step = first_step([*limited, *DOCTOR])
    assert step.startswith(f"ok: passed over: cannot mkdir {TOP}/system.slice/run-")
    assert step.endswith(".service/sentinel-main: Resource temporarily unavailable")
    _, guard = places(call([*limited, *words("--", *SHOW)]))
    assert os.path.basename(guard) == "supervisor"
    nothing_is_left()


@pytest.mark.parametrize("delegated", [True, False])
def test_a_service_that_may_not_write_to_cgroups(*, delegated: bool) -> None:
    """ProtectControlGroups=yes: rss, with the way out in the line, and no scope was made."""
    options = ["-p", "ProtectControlGroups=yes", "-p", f"Delegate={delegated}"]
    run = [SENTINEL, "exec", *LIMIT, "--", "cat", "/proc/self/cgroup"]
    done = call([*SERVICE[:-2], "--unit=lab-bad.service", *options, *run])
    assert (done.returncode, done.stdout) == (0, "0::/system.slice/lab-bad.service\n")
    assert done.stderr == (
        f"sentinel: watching by rss, the fallback: {TOP}/system.slice/lab-bad.service is mounted "
        "read-only; for a cgroup: for a service, ProtectControlGroups=no in its unit\n"
    )


def test_a_place_that_has_no_room_for_the_leaf() -> None:
    """Sentinel has moved into its child, and that was the last one: 125 and one line."""
    done = call([*SERVICE, "sh", "-c", ALLOW, "1", *words("--", "echo", "started")])
    assert (done.returncode, done.stdout) == (125, "")
    (line,) = done.stderr.splitlines()
    assert "no cgroup for --backend cgroup: cannot mkdir " in line
    assert line.endswith(
        ": Resource temporarily unavailable; there are too many cgroups: raise "
        "cgroup.max.descendants and cgroup.max.depth above it"
    )
    nothing_is_left()


@pytest.mark.parametrize("also", [True, False], ids=["twice", "elsewhere"])
def test_the_hierarchy_is_mounted_somewhere_else(*, also: bool) -> None:
    """Whichever mount it is found by, the run has its scope there."""
    line = "mkdir -p /tmp/elsewhere && mount -t cgroup2 -o nsdelegate none /tmp/elsewhere"
    line += ' && exec "$@"' if also else f' && umount -l {TOP} && exec "$@"'
    argv = ["unshare", "--mount", "sh", "-c", line, "sh", *words("--", *SHOW)]
    command, guard = places(call(argv))
    assert os.path.dirname(command) == os.path.dirname(guard)
    assert guard.startswith("0::/system.slice/sentinel-")
    nothing_is_left()


def test_outside_of_the_own_cgroup_namespace(bad: str) -> None:
    """Who was moved out of it has no path that means anything: rss, in one line."""
    run = [SENTINEL, "exec", *LIMIT, "--", "echo", "started"]
    argv = ["unshare", "--cgroup", "sh", "-c", 'read go && exec "$@"', "sh", *run]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as shell:
        home = os.readlink("/proc/self/ns/cgroup")
        inside = f"/proc/{shell.pid}/ns/cgroup"
        wait_for(lambda: os.readlink(inside) != home, "it has a namespace of its own", SOON)
        with open(f"{bad}/cgroup.procs", "w", encoding="ascii") as file:
            file.write(str(shell.pid))
        stdout, stderr = shell.communicate("go\n", timeout=SOON)
    assert (shell.returncode, stdout) == (0, "started\n")
    (said,) = stderr.splitlines()
    assert said.startswith("sentinel: watching by rss, the fallback: this process is in /../")
    assert said.endswith(
        "lab-bad, outside its cgroup namespace; for a cgroup: "
        "start it inside the container's own cgroup namespace"
    )

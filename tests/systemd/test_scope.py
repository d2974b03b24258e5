"""Runs where systemd is PID 1: in a scope of their own, by whoever starts them, and none left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.kernel.guarded import PATIENCE, SENTINEL, victim_words, wait_for
from tests.lab.login import as_user
from tests.lab.systemd import UID

SOON = 20.0
TOP = "/sys/fs/cgroup"
LIMIT = ["--limit", "64M"]
SHOW = ["sh", "-c", "cat /proc/self/cgroup /proc/$PPID/cgroup"]
USERS_SLICE = f"0::/user.slice/user-{UID}.slice/user@{UID}.service/app.slice"
MANAGERS = (["systemctl"], as_user(["systemctl", "--user"]))


def words(*options: str) -> list[str]:
    """The command line of a run in a cgroup, or none."""
    return [SENTINEL, "exec", "--backend", "cgroup", *LIMIT, *options]


def call(argv: list[str]) -> subprocess.CompletedProcess[str]:
    """Run `argv` to its end."""
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE)


def left() -> list[str]:
    """Units and cgroups of runs, of both managers."""
    units = [
        call([*manager, "list-units", "--all", "--no-legend", "sentinel-*"]).stdout
        for manager in MANAGERS
    ]
    found = [line for text in units for line in text.splitlines()]
    for directory, names, _ in os.walk(TOP):
        found += [f"{directory}/{name}" for name in names if name.startswith("sentinel-")]
    return found


def nothing_is_left() -> None:
    """Systemd collects an empty scope at once, but not before it has heard of it."""
    found: list[str] = []

    def gone() -> bool:
        found[:] = left()
        return not found

    try:
        wait_for(gone, "no unit and no cgroup of a run is left", SOON)
    except AssertionError as error:
        raise AssertionError(found) from error


def places(done: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    """The cgroups of the command and of its guard."""
    assert (done.returncode, done.stderr) == (0, ""), done
    command, guard = done.stdout.splitlines()
    return command, guard


@pytest.mark.parametrize(
    ("login", "slice_"),
    [("", "0::/system.slice"), ("session", USERS_SLICE), ("bare", USERS_SLICE)],
    ids=["root", "session", "bare"],
)
def test_a_run_has_a_scope_of_its_own(login: str, slice_: str) -> None:
    """The leaf and the supervisor are children of a scope, whose manager is the caller's."""
    argv = words("--", *SHOW)
    command, guard = places(call(as_user(argv, login) if login else argv))
    scope, name = os.path.split(guard)
    assert name == "supervisor"
    assert os.path.dirname(scope) == slice_
    assert os.path.basename(scope).startswith("sentinel-")
    assert os.path.dirname(command) == scope
    assert os.path.basename(command).startswith("sentinel-run-sh-")
    nothing_is_left()


def test_an_ordinary_user_is_asked_politely_with_no_configuration() -> None:
    """A leak of a login session saves its checkpoint; nothing was set up before."""
    home = Path(call(as_user(["mktemp", "-d"])).stdout.strip())
    leak = victim_words("leak", "rate=80M", "max=120M", "handler=8M", f"checkpoint={home}/saved")
    argv = [SENTINEL, "exec", *LIMIT, "--grace", "20s", "--json", f"{home}/outcome", "--", *leak]
    done = call(as_user(argv))
    assert done.returncode == 124, done
    document = json.loads((home / "outcome").read_text())
    assert (document["verdict"], document["backend"]) == ("soft-limit", "cgroup")
    assert document["command_status"] == {"exited": 0}
    assert (home / "saved").exists()
    nothing_is_left()


def test_a_user_without_a_manager_hears_how_to_get_one() -> None:
    """Nobody lingers and there is no bus: rss, in one line with the remedy; cgroup is refused."""
    done = call(as_user([SENTINEL, "exec", *LIMIT, "--", "echo", "started"], "no-bus"))
    assert (done.returncode, done.stdout) == (0, "started\n")
    assert done.stderr == (
        f"sentinel: watching by rss, the fallback: uid {UID} has no session and does not linger, "
        "so it has no systemd of its own; for a cgroup: run once, as root: loginctl "
        f"enable-linger {UID}; for a service, add Delegate=yes to its unit\n"
    )
    refused = call(as_user(words("--", "echo", "started"), "no-bus"))
    assert (refused.returncode, refused.stdout) == (125, "")
    assert f"loginctl enable-linger {UID}" in refused.stderr


def test_a_service_that_delegates_needs_no_scope() -> None:
    """Delegate=yes in the unit: the leaf is made there, and systemd is not asked."""
    run = ["systemd-run", "--quiet", "--pipe", "--wait", "-p", "Delegate=yes", *words("--", *SHOW)]
    command, guard = places(call(run))
    assert os.path.basename(guard) == "sentinel-main"
    assert os.path.dirname(guard).endswith(".service")
    assert os.path.dirname(command) == os.path.dirname(guard)
    nothing_is_left()


def test_a_service_without_delegation_gets_a_scope() -> None:
    """Nothing is made in a unit that was not delegated."""
    done = call(["systemd-run", "--quiet", "--pipe", "--wait", *words("--", *SHOW)])
    _, guard = places(done)
    assert guard.startswith("0::/system.slice/sentinel-")
    nothing_is_left()


def test_a_run_inside_a_run_stays_in_its_scope() -> None:
    """The inner run asks no systemd: it is in the outer one's leaf."""
    inner = words("--", "cat", "/proc/self/cgroup")
    done = call(as_user(words("--", *inner)))
    assert done.returncode == 0, done
    parts = done.stdout.strip().split("/")
    assert [part.rpartition("-")[0] for part in parts[-2:]] == [
        "sentinel-run-sentinel",
        "sentinel-run-cat",
    ]
    nothing_is_left()


def test_the_scope_of_a_killed_guard_is_cleared_by_the_next_run() -> None:
    """SIGKILL for Sentinel: what it guarded is in another scope, and the sweep finds it there."""
    stubborn = victim_words("stubborn", "count=3", "seconds=60")
    with subprocess.Popen(words("--", *stubborn), stdout=subprocess.PIPE) as guard:
        assert guard.stdout is not None
        assert guard.stdout.readline()
        guard.send_signal(signal.SIGKILL)
        guard.wait()
        assert left()
        assert call(words("--", "true")).returncode == 0
        nothing_is_left()


@pytest.mark.limit(300)
@pytest.mark.kernels("6.1")
def test_two_hundred_launches_in_a_row_leave_nothing() -> None:
    """Neither in systemd nor in cgroupfs."""
    loop = f"for i in $(seq 200); do {' '.join(words('--', 'true'))} || exit 1; done"
    done = subprocess.run(
        as_user(["sh", "-c", loop]), capture_output=True, text=True, check=False, timeout=280
    )
    assert (done.returncode, done.stderr) == (0, "")
    nothing_is_left()


def test_twenty_launches_at_once_leave_nothing() -> None:
    """Each gets its scope, and hears of its own job."""
    line = f"{' '.join(words('--', 'cat', '/proc/self/cgroup'))} & "
    done = call(as_user(["sh", "-c", line * 20 + "wait"]))
    assert done.stderr == ""
    assert len(set(done.stdout.splitlines())) == 20
    nothing_is_left()

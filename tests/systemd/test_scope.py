"""Runs where systemd is PID 1: in a scope of their own, by whoever starts them, and none left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from sentinel.control.wellknown import WELL_KNOWN
from tests.kernel.guarded import SENTINEL, victim_words
from tests.lab.login import as_user
from tests.lab.systemd import UID
from tests.systemd.runs import (
    LIMIT,
    MANY,
    SHOW,
    USERS_MANAGER,
    call,
    left,
    nothing_is_left,
    places,
    words,
)

USERS_SLICE = f"{USERS_MANAGER}/app.slice"


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
    # It may have had the path that everybody knows, and other users are told of a dead one.
    Path(WELL_KNOWN).unlink(missing_ok=True)


@pytest.mark.limit(360)
def test_two_hundred_launches_in_a_row_leave_nothing() -> None:
    """Neither in systemd nor in cgroupfs."""
    argv = [*MANY, "200", "--backend", "cgroup", *LIMIT, "--", "true"]
    done = call(as_user(argv), timeout=350)
    assert (done.returncode, done.stderr) == (0, "")
    nothing_is_left()


def test_twenty_launches_at_once_leave_nothing() -> None:
    """Each gets its scope, and hears of its own job."""
    line = f"{' '.join(words('--', 'cat', '/proc/self/cgroup'))} & "
    done = call(as_user(["sh", "-c", line * 20 + "wait"]))
    assert done.stderr == ""
    assert len(set(done.stdout.splitlines())) == 20
    nothing_is_left()

"""`sentinel doctor -v` in each way to come in: every step in order, and one remedy for it."""

from __future__ import annotations

import os

import pytest

from tests.kernel.guarded import SENTINEL
from tests.lab.login import as_user
from tests.lab.systemd import UID
from tests.systemd.runs import call, nothing_is_left

STEPS = ["own subtree", "namespace root", "systemd scope"]
RUN = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect"]


def examined(argv: list[str]) -> tuple[int, dict[str, str]]:
    """The doctor's status, and what it said by subject."""
    done = call(argv)
    assert done.stderr == ""
    return done.returncode, {row[:15].strip(): row[16:] for row in done.stdout.splitlines()}


@pytest.mark.parametrize(
    ("login", "passed"),
    [
        ("", "passed over: /sys/fs/cgroup/system.slice/lab.service belongs to systemd"),
        ("session", "passed over: /sys/fs/cgroup/user.slice/user-"),
        ("bare", "passed over: /sys/fs/cgroup/system.slice/lab.service is not owned by uid"),
    ],
    ids=["root", "session", "bare"],
)
def test_whoever_has_a_manager_gets_a_cgroup(login: str, passed: str) -> None:
    """Exit 0; the steps that were passed over come first, with their reasons."""
    argv = [SENTINEL, "doctor", "-v"]
    status, rows = examined(as_user(argv, login) if login else argv)
    assert status == 0, rows
    assert [subject for subject in rows if subject in (*STEPS, "leaf")] == [*STEPS[:2], "leaf"]
    assert rows["own subtree"].startswith(f"ok: {passed}")
    assert rows["leaf"].startswith("ok: under /sys/fs/cgroup/")
    assert rows["leaf"].endswith(".scope")
    assert rows["cgroup victim"].startswith("ok: a leak was asked to stop at ")
    assert rows["OOMPolicy"] == "ok: continue: the scope is ours and delegated"
    assert rows["guard's memory"].startswith("ok: ")
    assert rows["a run gets"] == "cgroup"
    assert "to improve it" not in rows
    nothing_is_left()


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ([], "ok: continue, of {}"),
        (
            ["-p", "OOMPolicy=stop"],
            (
                "no: stop: an OOM at the hard limit ends all of {}, and the guard with it "
                "-> OOMPolicy=continue in {} (systemctl edit)"
            ),
        ),
    ],
    ids=["default", "stop"],
)
def test_a_delegated_service_hears_what_its_own_policy_does(policy: list[str], says: str) -> None:
    """The first step works there; OOMPolicy is asked of the manager that has the unit."""
    unit = f"lab-doctor-{len(policy)}.service"
    argv = [*RUN, f"--unit={unit}", "-p", "Delegate=yes", *policy, SENTINEL, "doctor", "-v"]
    status, rows = examined(argv)
    assert status == 0, rows
    assert rows["leaf"] == f"ok: under /sys/fs/cgroup/system.slice/{unit}"
    assert rows["OOMPolicy"] == says.format(unit, unit)
    assert not set(STEPS) & set(rows)
    nothing_is_left()


def test_who_has_no_manager_hears_how_to_get_one() -> None:
    """Exit 1: rss; all three steps in order, and lingering as the one remedy."""
    status, rows = examined(as_user([SENTINEL, "doctor", "-v"], "no-bus"))
    assert status == 1, rows
    assert [subject for subject in rows if subject in (*STEPS, "leaf")] == STEPS
    remedy = (
        f"run once, as root: loginctl enable-linger {UID}; "
        "for a service, add Delegate=yes to its unit"
    )
    assert rows["systemd scope"] == (
        f"no: uid {UID} has no session and does not linger, so it has no systemd of its own "
        f"-> {remedy}"
    )
    assert rows["a run gets"] == "rss"
    assert rows["to improve it"] == remedy


@pytest.mark.parametrize("login", ["session", "bare"])
def test_a_session_without_its_bus_hears_how_to_get_it(login: str) -> None:
    """The manager is there, but nothing to talk to it by."""
    bus = f"/run/user/{UID}/bus"
    os.rename(bus, f"{bus}.away")
    try:
        status, rows = examined(as_user([SENTINEL, "doctor", "-v"], login))
    finally:
        os.rename(f"{bus}.away", bus)
    assert status == 1, rows
    remedy = "install dbus-user-session, or systemctl --user start dbus.socket"
    assert rows["systemd scope"] == f"no: there is no session bus at {bus} -> {remedy}"
    assert rows["a run gets"] == "rss"
    assert rows["to improve it"] == remedy


def test_a_bus_that_hangs_is_one_line_and_rss() -> None:
    """Whoever listens there and never answers is given up; the run goes on."""
    runtime = f"/run/user/{UID}"
    hang = (
        "import os, socket, subprocess, sys\n"
        f"os.rename('{runtime}/bus', '{runtime}/bus.real')\n"
        "listener = socket.socket(socket.AF_UNIX)\n"
        f"listener.bind('{runtime}/bus'); listener.listen(5)\n"
        "try: sys.exit(subprocess.run(sys.argv[1:]).returncode)\n"
        f"finally: os.rename('{runtime}/bus.real', '{runtime}/bus')\n"
    )
    argv = ["python3", "-c", hang, SENTINEL, "exec", "--limit", "64M", "--", "echo", "started"]
    done = call(as_user(argv))
    assert (done.returncode, done.stdout) == (0, "started\n")
    assert done.stderr == (
        "sentinel: watching by rss, the fallback: the user's systemd did not answer on "
        f"unix:path={runtime}/bus within 5 s; for a cgroup: look why it hangs (systemctl status), "
        "or choose --backend rss to skip it\n"
    )
    assert os.path.exists(f"{runtime}/bus")
    nothing_is_left()

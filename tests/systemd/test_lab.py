"""The systemd guest is what it claims to be, and so are its user and its containers."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.lab.container import KINDS, container, enter
from tests.lab.login import LOGINS, as_user
from tests.lab.systemd import UID

CGROUP = "/sys/fs/cgroup"
MANAGER = f"user.slice/user-{UID}.slice/user@{UID}.service"
MEMORY = 64 << 20
SECONDS = 60
LOOK = """cat /proc/self/cgroup
for file in memory.current system.slice; do test -e "$0/$file" && echo yes || echo no; done
if mkdir "$0/made" 2>/dev/null; then rmdir "$0/made"; echo writable; fi"""
"""A shell's look at a cgroup tree: own path, whether it is a cgroup's or the host's, writable."""


def output(argv: Sequence[str]) -> str:
    """Return what a command printed; it must not fail."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def user(*argv: str, login: str = "session") -> str:
    """Return what a command of the ordinary user printed."""
    return output(as_user(argv, login))


def contained(kind: str, *argv: str) -> list[str]:
    """Return the lines that a command in a container with MEMORY printed."""
    with container(kind, argv, MEMORY) as running:
        stdout, stderr = running.process.communicate(timeout=SECONDS)
        assert running.process.returncode == 0, stderr
        return stdout.splitlines()


def scopes() -> list[str]:
    """Return the cgroups of the containers that there are."""
    return [name for name in os.listdir(f"{CGROUP}/system.slice") if name.startswith("lab-")]


def test_systemd_is_the_first_process_and_has_nothing_to_complain_of() -> None:
    """PID 1 is systemd, it is up, and no unit has failed."""
    assert os.path.basename(os.readlink("/proc/1/exe")) == "systemd"
    assert output(["systemctl", "is-system-running", "--wait"]) == "running"


def test_the_command_of_root_is_part_of_a_service_that_is_not_delegated() -> None:
    """Root's tests run as any system service does, and may make no cgroup of their own there."""
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        assert file.read() == "0::/system.slice/lab.service\n"
    assert output(["systemctl", "show", "--property=Delegate", "lab.service"]) == "Delegate=no"


def test_the_user_manager_has_memory_to_hand_out() -> None:
    """The user's manager was delegated memory, and its cgroup is the user's own."""
    with open(f"{CGROUP}/{MANAGER}/cgroup.controllers", encoding="ascii") as file:
        assert "memory" in file.read().split()
    assert os.stat(f"{CGROUP}/{MANAGER}/cgroup.subtree_control").st_uid == UID
    shown = output(["systemctl", "show", "--property=Delegate", f"user@{UID}.service"])
    assert shown == "Delegate=yes"


def test_a_login_session_is_a_scope_that_is_not_the_users_to_divide() -> None:
    """Who logs in is in a session's scope, where nothing is delegated or can be written."""
    own = user("cat", "/proc/self/cgroup").removeprefix("0::")
    assert re.fullmatch(rf"/user\.slice/user-{UID}\.slice/session-c?\d+\.scope", own)
    assert user("sh", "-c", f"test -w {CGROUP}/user.slice || echo no") == "no"
    made = f"mkdir {CGROUP}$(cut -d: -f3 /proc/self/cgroup)/made 2>&1 || true"
    assert user("sh", "-c", made).endswith("Permission denied")


def test_a_login_session_has_a_bus_whose_manager_makes_scopes() -> None:
    """The session's variables lead to the user's manager, which makes a scope with memory."""
    assert user("systemctl", "--user", "is-system-running", "--wait") == "running"
    argv = ["systemd-run", "--user", "--scope", "--quiet", "--property=Delegate=yes"]
    own = user(*argv, "sh", "-c", f"cd {CGROUP}$(cut -d: -f3 /proc/self/cgroup) && pwd && ls")
    assert own.startswith(f"{CGROUP}/{MANAGER}/app.slice/run-")
    assert "memory.high" in own.splitlines()


@pytest.mark.parametrize(
    ("login", "socket"), [("session", True), ("bare", True), ("no-bus", False)]
)
def test_only_a_login_without_a_bus_has_none(login: str, *, socket: bool) -> None:
    """The socket of the bus is there unless none was asked for; only a session says where."""
    named = user("sh", "-c", 'echo "$DBUS_SESSION_BUS_ADDRESS$XDG_RUNTIME_DIR"', login=login)
    assert bool(named) is (login == "session")
    found = user("sh", "-c", f"test -S /run/user/{UID}/bus && echo yes || echo no", login=login)
    assert (found == "yes") is socket


@pytest.mark.parametrize("login", LOGINS)
def test_whoever_logs_in_runs_what_root_runs(login: str) -> None:
    """The user has the tests' interpreter, directory and variables, and no power of root's."""
    program = "import json,os;print(json.dumps([os.getuid(),os.getcwd(),os.environ['HOME']]))"
    found = json.loads(user(sys.executable, "-c", program, login=login))
    assert found == [UID, os.getcwd(), "/home/lab"]
    done = subprocess.run(as_user(["sh", "-c", "exit 7"], login), timeout=SECONDS, check=False)
    assert done.returncode == 7


@pytest.mark.parametrize(
    ("kind", "own", "host", "writable"),
    [
        ("default", True, False, False),
        ("unmasked", True, False, True),
        ("privileged", True, False, True),
        ("host", False, True, True),
        ("host-default", False, True, False),
        ("disagreeing", False, True, True),
    ],
)
def test_a_container_sees_the_cgroups_of_its_kind(
    kind: str, *, own: bool, host: bool, writable: bool
) -> None:
    """Own path, what is mounted and whether it can be written are those of docker's kinds."""
    path, *seen = contained(kind, "sh", "-c", LOOK, CGROUP)
    words = {True: "yes", False: "no"}
    assert seen == [words[own], words[host], *(["writable"] if writable else [])]
    if KINDS[kind].private:
        assert path == "0::/"
    else:
        assert re.fullmatch(r"0::/system\.slice/lab-container-\w+\.scope/container", path)
    assert scopes() == []


def test_a_container_has_its_limit_and_can_be_entered() -> None:
    """Its cgroup has the memory it was given, and a later command is born in it."""
    with container("default", ["sleep", "1000"], MEMORY) as running:
        read = ["sh", "-c", f"cat {CGROUP}/memory.max && cat /proc/self/cgroup && hostname"]
        argv = enter(running.name, read)
        subprocess.run(
            ["sh", "-c", 'until "$@" true 2>/dev/null; do sleep 0.05; done', "sh", *argv[:-3]],
            timeout=SECONDS,
            check=True,
        )
        assert output(argv).splitlines() == [str(MEMORY), "0::/", running.name]
    assert scopes() == []


def test_a_container_holds_another() -> None:
    """A privileged container can run one of the default kind, below its own cgroup."""
    inner = [sys.executable, "-m", "tests.lab.container", "--memory", str(MEMORY // 2)]
    leave = (
        f'mkdir {CGROUP}/init; echo $$ >{CGROUP}/init/cgroup.procs && "$@"'
        f"; find {CGROUP} -name 'container-*'"
    )
    look = ["--", "cat", f"{CGROUP}/memory.max", "/proc/self/cgroup"]
    assert contained("privileged", "sh", "-c", leave, "sh", *inner, *look) == [
        str(MEMORY // 2),
        "0::/",
    ]


def test_no_mount_of_a_container_has_changed_the_guests() -> None:
    """After all kinds of containers cgroup namespaces are still borders of delegation."""
    contained("host", "true")
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        (line,) = (line for line in file if f" {CGROUP} " in line)
    assert line.split(" - ")[1] == "cgroup2 cgroup2 rw,nsdelegate\n"

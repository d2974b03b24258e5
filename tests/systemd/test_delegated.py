"""Where a unit has a cgroup to give away, and where it has not: services and scopes of both kinds.

A cgroup that was delegated and lists only our own process is used as it is; systemd is not asked.
Anywhere else a run gets a scope of its own, and nothing is ever made in a unit that did not
delegate.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.kernel.guarded import SENTINEL, victim_words
from tests.lab.login import as_user
from tests.lab.systemd import USER
from tests.systemd.runs import (
    SHOW,
    TOP,
    USERS_MANAGER,
    call,
    nothing_is_left,
    places,
    words,
)

RUN = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect"]
DELEGATED = ["-p", "Delegate=yes"]
MANAGER_OF = {
    "system": "0::/system.slice",
    "system User=": f"{USERS_MANAGER}/app.slice",
    "user": f"{USERS_MANAGER}/app.slice",
}
"""The kinds of services, by who starts them for whom, and where the scope of each is made."""


def service(kind: str, options: list[str], argv: list[str]) -> list[str]:
    """The command line that runs `argv` in a service of `kind`."""
    if kind == "user":
        return as_user([*RUN, "--user", *options, *argv])
    account = ["-p", f"User={USER}"] if kind == "system User=" else []
    return [*RUN, *account, *options, *argv]


@pytest.mark.parametrize("kind", MANAGER_OF)
def test_a_service_that_delegates_needs_no_scope(kind: str) -> None:
    """Delegate=yes in the unit: the leaf is made there, beside a child for Sentinel."""
    command, guard = places(call(service(kind, DELEGATED, words("--", *SHOW))))
    unit, name = os.path.split(guard)
    assert name == "sentinel-main"
    assert unit.endswith(".service")
    assert "/sentinel-" not in unit
    assert os.path.dirname(command) == unit
    nothing_is_left()


@pytest.mark.parametrize("kind", MANAGER_OF)
def test_a_service_without_delegation_gets_a_scope(kind: str) -> None:
    """Nothing is made in a unit that was not delegated."""
    command, guard = places(call(service(kind, [], words("--", *SHOW))))
    scope, name = os.path.split(guard)
    assert name == "supervisor"
    assert os.path.dirname(scope) == MANAGER_OF[kind]
    assert os.path.dirname(command) == scope
    nothing_is_left()


def test_a_delegated_scope_of_ones_own_is_used() -> None:
    """The remedy that the doctor gives, typed: systemd-run --user --scope -p Delegate=yes."""
    argv = ["systemd-run", "--user", "--scope", "--quiet", *DELEGATED, *words("--", *SHOW)]
    command, guard = places(call(as_user(argv)))
    assert os.path.basename(guard) == "sentinel-main"
    assert os.path.dirname(guard).startswith(f"{USERS_MANAGER}/app.slice/run-")
    assert os.path.dirname(command) == os.path.dirname(guard)
    nothing_is_left()


def test_a_delegated_cgroup_that_holds_others_is_left_alone() -> None:
    """A shell that waits in it is not ours to move: a scope instead, and the shell stays."""
    line = '"$@" && cat /proc/self/cgroup'
    shell = ["sh", "-c", line, "sh", *words("--", *SHOW)]
    done = call(as_user(["systemd-run", "--user", "--scope", "--quiet", *DELEGATED, *shell]))
    assert (done.returncode, done.stderr) == (0, "")
    _, guard, shells = done.stdout.splitlines()
    assert os.path.basename(guard) == "supervisor"
    assert shells.startswith(f"{USERS_MANAGER}/app.slice/run-")
    assert shells.endswith(".scope")
    nothing_is_left()


@pytest.mark.parametrize("kind", ["scope", "service"])
def test_an_oom_at_the_wall_ends_neither_the_guard_nor_its_unit(kind: str, tmp_path: Path) -> None:
    """OOMPolicy is `continue` where we delegate, and with Delegate=yes: the verdict is told."""
    outcome = tmp_path / "outcome"
    options = ["--hard-limit", "80M", "--json", str(outcome)]
    hog = victim_words("leak", "rate=0", "max=200M", "handler=0")
    argv = words(*options, "--", *hog)
    done = call(argv if kind == "scope" else service("system", DELEGATED, argv))
    assert done.returncode == 124, done
    document = json.loads(outcome.read_text())
    assert document["backend"] == "cgroup"
    assert document["verdict"] in ("hard-limit", "soft-limit")
    nothing_is_left()


def test_a_unit_that_was_left_still_limits_the_run(tmp_path: Path) -> None:
    """MemoryMax= of a service without Delegate=yes is the scope's, too: the warning is true."""
    outcome = tmp_path / "outcome"
    limits = ["--limit", "300M", "--hard-limit", "400M", "--json", str(outcome)]
    argv = [SENTINEL, "exec", *limits, "--", *victim_words("leak", "rate=0", "max=200M")]
    done = call(service("system", ["--unit=lab-limited.service", "-p", "MemoryMax=100M"], argv))
    assert done.returncode == 124, done
    warning = f"(100M, {TOP}/system.slice/lab-limited.service/memory.max), which is reached first"
    assert warning in done.stderr
    document = json.loads(outcome.read_text())
    assert (document["backend"], document["verdict"]) == ("cgroup", "ancestor-limit")
    scope = document["evidence"]["oom_above"]
    assert scope.startswith(f"{TOP}/system.slice/sentinel-")
    assert scope.endswith(".scope")
    nothing_is_left()


def test_the_guards_cgroup_alone_is_spared_by_systemd_oomd() -> None:
    """The mark is on the supervisor's cgroup, not on the leaf's."""
    script = (
        "import os, re\n"
        "for name in ('self', str(os.getppid())):\n"
        "    path = open(f'/proc/{name}/cgroup').read().strip().removeprefix('0::')\n"
        "    names = os.listxattr('/sys/fs/cgroup' + path)\n"
        "    print(path.rpartition('/')[2][:12], 'user.oomd_avoid' in names)\n"
    )
    done = call(as_user(words("--", "python3", "-c", script)))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "sentinel-run False\nsupervisor True\n"

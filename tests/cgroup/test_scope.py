"""Ladder step 3 before and after the talk with systemd: which bus, why none, where we end up."""

from __future__ import annotations

import errno
import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from sentinel.cgroup import scope
from sentinel.cgroup.ladder import find_place, from_systemd, sweep_beside
from sentinel.cgroup.leaf import make_leaf
from sentinel.cgroup.manager import Bus, ManagerFault
from sentinel.cgroup.placement import Host, Refusal
from sentinel.cgroup.scope import ScopeSweep
from sentinel.cgroup.sweep import LeafSweep
from sentinel.cgroup.tree import Cgroup
from tests.cgroup.faketree import REALLY_REMOVE, Tree

ME = os.getpid()
TOO_MANY = "there are too many cgroups: raise cgroup.max.descendants and cgroup.max.depth above it"
MEMORY = frozenset({"memory"})
UID = 1234
MANAGER = f"user.slice/user-{UID}.slice/user@{UID}.service"


class Desk(NamedTuple):
    """A machine with systemd, a fake tree, and what is asked of the manager."""

    fake: Tree
    host: Host
    asked: list[tuple[Bus, str]]
    limits: list[dict[str, int]]

    def stand(self, path: str) -> None:
        """Let this process be in the cgroup `path`."""
        own = Path(self.host.proc) / "self" / "cgroup"
        own.write_text(f"0::{path}\n")

    def listen(self, name: str, stack: ExitStack) -> str:
        """A socket below /run; its path."""
        path = Path(self.host.run) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        stack.enter_context(socket.socket(socket.AF_UNIX)).bind(str(path))
        return str(path)

    def place(self) -> str | Refusal:
        """Where the step puts a leaf, or its refusal."""
        found = from_systemd(self.host, MEMORY)
        if isinstance(found, Refusal):
            return found
        found.close()
        return found.path


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is closed at the end."""
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def desk(
    tmp_path: Path, fake: Tree, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Desk:
    """The machine of a root whose manager does what it is asked."""
    monkeypatch.setattr(scope, "Cgroup", request.getfixturevalue("cgroups"))
    (tmp_path / "proc" / "self").mkdir(parents=True)
    mount = f"30 22 0:26 / {fake.top} rw - cgroup2 cgroup2 rw\n"
    (tmp_path / "proc" / "self" / "mountinfo").write_text(mount)
    (tmp_path / "run" / "systemd" / "system").mkdir(parents=True)
    host = Host(*(str(tmp_path / name) for name in ("proc", "run", "linger")))
    machine = Desk(fake, host, [], [])
    fake.make("session.scope", procs=(ME,))
    machine.stand("/session.scope")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)

    def start(bus: Bus, unit: str, limits: dict[str, int]) -> None:
        machine.asked.append((bus, unit))
        machine.limits.append(limits)
        fake.make(f"system.slice/{unit}")
        fake.write(fake.top / "system.slice" / unit, "cgroup.procs", str(ME))
        machine.stand(f"/system.slice/{unit}")

    monkeypatch.setattr(scope, "start_scope", start)
    return machine


@pytest.fixture
def user(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The same for a user whose manager has memory delegated."""
    monkeypatch.setattr(os, "geteuid", lambda: UID)
    desk.fake.make(MANAGER)
    return desk


def refusal(reason: str, remedy: str, *, applies: bool = True) -> Refusal:
    """A refusal of this step."""
    return Refusal("systemd scope", reason, remedy, applies=applies)


def test_root_gets_a_scope_of_the_system(desk: Desk, stack: ExitStack) -> None:
    """The place is the scope; we are in its child `supervisor`, and memory can be had beside it."""
    path = desk.listen("dbus/system_bus_socket", stack)
    place = desk.place()
    ((bus, unit),) = desk.asked
    assert (bus, place) == (
        Bus(f"unix:path={path}", "systemd"),
        f"{desk.fake.top}/system.slice/{unit}",
    )
    assert unit.startswith(f"sentinel-{ME}-")
    assert unit.endswith(".scope")
    made = desk.fake.top / "system.slice" / unit
    assert desk.fake.pids(made / "supervisor") == [ME]
    assert desk.fake.get(made, "cgroup.subtree_control") == "memory"


def test_the_scope_has_the_limits_that_were_above_us_before(desk: Desk, stack: ExitStack) -> None:
    """The tightest of each kind: a service's MemoryMax= still holds the run, outside of it."""
    desk.listen("dbus/system_bus_socket", stack)
    own = desk.fake.make("system.slice/job.service", procs=(ME,))
    desk.fake.put(own, "memory.max", f"{8 << 30}\n")
    desk.fake.put(own.parent, "memory.max", f"{9 << 30}\n")
    desk.fake.put(own.parent, "memory.high", f"{5 << 30}\n")
    desk.stand("/system.slice/job.service")
    desk.place()
    assert desk.limits == [{"MemoryMax": 8 << 30, "MemoryHigh": 5 << 30}]


def test_the_scope_is_used_again(desk: Desk, stack: ExitStack) -> None:
    """A second run of the same process needs no second scope."""
    desk.listen("dbus/system_bus_socket", stack)
    first = desk.place()
    desk.stand(f"/system.slice/{desk.asked[0][1]}/supervisor")
    assert desk.place() == first
    assert len(desk.asked) == 1


def test_no_systemd(desk: Desk) -> None:
    """The step does not apply."""
    REALLY_REMOVE(f"{desk.host.run}/systemd/system")
    assert desk.place() == refusal(
        "systemd is not running here", "see the other steps", applies=False
    )


def test_inside_another_run_systemd_is_never_asked(desk: Desk, stack: ExitStack) -> None:
    """A scope would leave the outer run's leaf, and with it its limit."""
    desk.listen("dbus/system_bus_socket", stack)
    own = desk.fake.make("sentinel-run-a-1/deep", procs=(ME,))
    desk.stand("/sentinel-run-a-1/deep")
    reason = f"{own} is inside another run, which a scope would leave"
    assert desk.place() == refusal(reason, "see the other steps", applies=False)
    assert desk.asked == []


def test_no_system_bus(desk: Desk) -> None:
    """Root without dbus."""
    path = f"{desk.host.run}/dbus/system_bus_socket"
    assert desk.place() == refusal(
        f"there is no system bus at {path}", "install dbus: systemctl start dbus.socket"
    )


def test_no_session_and_no_lingering(user: Desk) -> None:
    """No runtime directory: nobody started a manager for this user."""
    assert user.place() == refusal(
        f"uid {UID} has no session and does not linger, so it has no systemd of its own",
        f"run once, as root: loginctl enable-linger {UID}; "
        "for a service, add Delegate=yes to its unit",
    )


def test_lingering_with_a_manager_that_has_ended(
    user: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To linger once more would change nothing."""
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    os.makedirs(f"{user.host.linger}/{pwd.getpwuid(65534).pw_name}")
    assert user.place() == refusal(
        "the systemd of uid 65534 is not running", "as root: systemctl start user@65534.service"
    )


def test_a_session_without_a_bus(user: Desk) -> None:
    """A manager, but nothing to talk to it by."""
    os.makedirs(f"{user.host.run}/user/{UID}")
    assert user.place() == refusal(
        f"there is no session bus at {user.host.run}/user/{UID}/bus",
        "install dbus-user-session, or systemctl --user start dbus.socket",
    )


@pytest.mark.parametrize("stale", [False, True], ids=["no socket", "a socket of nobody"])
def test_a_session_whose_manager_has_ended(
    user: Desk, stack: ExitStack, monkeypatch: pytest.MonkeyPatch, *, stale: bool
) -> None:
    """The bus would not help: there is nobody to be asked over it."""
    (user.fake.top / MANAGER).rename(user.fake.top / "away")
    os.makedirs(f"{user.host.run}/user/{UID}")
    if stale:
        path = user.listen(f"user/{UID}/bus", stack)
        os.chown(path, 0, -1) if os.getuid() == 0 else None

        def refuse(*_: object) -> None:
            raise ManagerFault("not reached", "start the bus")

        monkeypatch.setattr(scope, "start_scope", refuse)
    assert user.place() == refusal(
        f"the systemd of uid {UID} is not running", f"as root: systemctl start user@{UID}.service"
    )


def test_the_bus_of_whoever_called_su_is_not_asked(
    user: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would refuse us, and none of its remedies would be one."""
    address = f"unix:path={user.host.run}/user/0/bus"
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
    found = user.place()
    assert isinstance(found, Refusal)
    assert found.reason.startswith(f"uid {UID} has no session and does not linger")
    assert user.asked == []


def test_the_users_own_bus_is_found_without_the_environment(
    user: Desk, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in cron: what the environment says counts only where there is none."""
    path = user.listen(f"user/{UID}/bus", stack)
    os.chown(path, 0, -1) if os.getuid() == 0 else monkeypatch.setattr(os, "getuid", lambda: UID)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    user.place()
    assert [bus for bus, _ in user.asked] == [Bus(f"unix:path={path}", "the user's systemd")]


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("unix:path=/a%20b", "unix:path=/a%20b"),
        ("tcp:host=x;unix:abstract=/c,guid=1", "unix:abstract=/c,guid=1"),
        ("unixexec:path=/bin/sh", None),
        ("nonsense", None),
        ("tcp:host=x", None),
        ("unix:runtime=yes", None),
        ("", None),
    ],
)
def test_the_bus_that_the_environment_names(
    address: str, found: str | None, user: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any address that can be connected to; others are none."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
    user.place()
    assert [bus.address for bus, _ in user.asked] == ([] if found is None else [found])


def test_a_manager_without_memory(user: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known before anybody is moved."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/x")
    user.fake.put(user.fake.top / MANAGER, "cgroup.controllers", "pids\n")
    assert user.place() == refusal(
        f"the memory controller is not delegated to user@{UID}.service",
        "as root: systemctl edit user@.service, [Service] Delegate=cpu memory pids, "
        "then log in again",
    )
    assert user.asked == []


def test_a_manager_that_refuses(
    desk: Desk, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reason and its remedy are the step's."""
    desk.listen("dbus/system_bus_socket", stack)

    def refuse(*_: object) -> None:
        raise ManagerFault("no", "ask again")

    monkeypatch.setattr(scope, "start_scope", refuse)
    assert desk.place() == refusal("no", "ask again")


def test_a_manager_that_did_not_move_us(
    desk: Desk, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where we are is looked up, not believed."""
    desk.listen("dbus/system_bus_socket", stack)
    monkeypatch.setattr(scope, "start_scope", lambda *_: None)
    found = desk.place()
    assert isinstance(found, Refusal)
    assert found.reason.endswith(f"but this process is in {desk.fake.top}/session.scope")


@pytest.mark.parametrize(
    ("refused", "what", "remedy"),
    [
        (
            ("mkdir", "supervisor", errno.EAGAIN),
            "mkdir {}/supervisor: Resource temporarily unavailable",
            TOO_MANY,
        ),
        (
            ("write", "cgroup.subtree_control", errno.EROFS),
            "write '+memory' to {}/cgroup.subtree_control: Read-only file system",
            "for a service, ProtectControlGroups=no in its unit",
        ),
        (
            ("write", "cgroup.subtree_control", errno.EBUSY),
            "write '+memory' to {}/cgroup.subtree_control: Device or resource busy",
            "stop what keeps starting processes in that cgroup",
        ),
        (
            ("write", "cgroup.procs", errno.EACCES),
            f"write '{ME}' to {{}}/supervisor/cgroup.procs: Permission denied",
            "run as root, or systemd-run --user --scope -p Delegate=yes sentinel exec ...",
        ),
    ],
)
def test_a_scope_that_cannot_be_divided(
    desk: Desk, stack: ExitStack, refused: tuple[str, str, int], what: str, remedy: str
) -> None:
    """Whatever the kernel refuses in it is the step's reason; the ladder goes on from there."""
    desk.listen("dbus/system_bus_socket", stack)
    moving = vars(scope)["start_scope"]

    def start(bus: Bus, unit: str, limits: dict[str, int]) -> None:
        moving(bus, unit, limits)
        desk.fake.refuse(*refused)

    stack.enter_context(pytest.MonkeyPatch.context()).setattr(scope, "start_scope", start)
    found = desk.place()
    where = f"{desk.fake.top}/system.slice/{desk.asked[0][1]}"
    assert found == refusal(f"cannot {what.format(where)}", remedy)


def test_a_machine_that_holds_memory_by_v1(desk: Desk, stack: ExitStack) -> None:
    """A hybrid one: no scope of its manager would have memory, and none is asked for."""
    desk.listen("dbus/system_bus_socket", stack)
    own = Path(desk.host.proc) / "self" / "cgroup"
    own.write_text("5:memory:/x\n" + own.read_text())
    assert desk.place() == refusal(
        "the memory controller is held by cgroup v1",
        "boot with systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all",
    )
    assert desk.asked == []


def test_a_service_that_sees_cgroups_read_only(
    desk: Desk, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ProtectControlGroups=yes: a scope would be as read-only, and nobody is moved for nothing."""
    desk.listen("dbus/system_bus_socket", stack)
    monkeypatch.setattr(scope, "is_read_only", lambda _: True)
    assert desk.place() == refusal(
        f"{desk.fake.top}/session.scope is mounted read-only",
        "for a service, ProtectControlGroups=no in its unit",
    )
    assert desk.asked == []


def test_the_ladder_ends_here_and_spares_the_guard(
    desk: Desk, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps before have said why not; the guard's cgroup, and no other, is marked."""
    desk.listen("dbus/system_bus_socket", stack)
    marked = []
    monkeypatch.setattr(os, "setxattr", lambda path, *_: marked.append(os.path.basename(path)))
    place, refusals = find_place(MEMORY, desk.host)
    assert place is not None
    place.close()
    assert [refused.step for refused in refusals] == ["own subtree", "namespace root"]
    assert refusals[0].reason.endswith("belongs to systemd and was not delegated")
    assert marked == ["supervisor", "sentinel-main"]


class Waiter:
    """Keeps what is watched, and as whom."""

    def __init__(self) -> None:
        self.tokens: list[object] = []

    def watch(self, fd: int, token: object, *, priority: bool = False) -> None:
        """Remember."""
        assert fd >= 0
        assert priority
        self.tokens.append(token)

    def forget(self, fd: int) -> None:
        """Nothing to do."""


def test_the_leaves_of_dead_guards_in_other_scopes_are_cleared(
    desk: Desk, cgroups: type[Cgroup]
) -> None:
    """The lock decides, scope by scope; what is no scope of ours is not looked into."""
    names = ("sentinel-1-aa.scope", "sentinel-2-bb.scope", "run-3.scope", "sentinel-4.service")
    parents = {name: cgroups.open(str(desk.fake.make(f"s/{name}"))) for name in names}
    for parent in parents.values():
        desk.fake.put(Path(parent.path), "cgroup.subtree_control", "memory")
    leaves = {name: make_leaf(parent, "job") for name, parent in parents.items()}
    for name in ("sentinel-1-aa.scope", "run-3.scope", "sentinel-4.service"):
        os.close(leaves[name].cgroup.fd)  # its guard is dead
    sweep = sweep_beside(parents["sentinel-2-bb.scope"])
    assert isinstance(sweep, ScopeSweep)
    waiter = Waiter()
    sweep.begin(waiter)
    assert set(waiter.tokens) <= {sweep}
    assert sweep.turn()
    sweep.close()
    there = {name: os.path.exists(leaf.cgroup.path) for name, leaf in leaves.items()}
    assert there == dict(zip(names, (False, True, True, True), strict=True))
    os.close(leaves["sentinel-2-bb.scope"].cgroup.fd)
    for parent in parents.values():
        parent.close()


def test_a_place_that_is_no_scope_is_swept_alone(desk: Desk, cgroups: type[Cgroup]) -> None:
    """Its neighbours are other people's."""
    place = cgroups.open(str(desk.fake.make("plain")))
    sweep = sweep_beside(place)
    place.close()
    assert isinstance(sweep, LeafSweep)
    sweep.close()

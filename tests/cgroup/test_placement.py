"""The ladder: which place a leaf gets, and why there is none, word for word."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sentinel.cgroup import ladder, unit
from sentinel.cgroup.ladder import find_place
from sentinel.cgroup.manager import Bus, ManagerFault
from sentinel.cgroup.placement import Host, Refusal, own_cgroup, own_subtree
from tests.cgroup.faketree import Tree

ME = os.getpid()
MEMORY = frozenset({"memory"})
UNIFIED = "boot with systemd.unified_cgroup_hierarchy=1"
TOO_MANY = "there are too many cgroups: raise cgroup.max.descendants and cgroup.max.depth above it"
SCOPE = "run as root, or systemd-run --user --scope -p Delegate=yes sentinel exec ..."
CHOWN = "run as root, or have root chown a cgroup to you and start it in there"
"""Where there is no systemd to ask."""


class Machine(NamedTuple):
    """A machine with a fake cgroup2 mount."""

    fake: Tree
    proc: Path
    run: Path

    def host(self, path: str, *, v1: str = "", mounts: str | None = None) -> Host:
        """Where we are in the v2 hierarchy `path` and in the v1 ones `v1`."""
        if mounts is None:
            mounts = mount(self.fake.top)
        (self.proc / "self" / "cgroup").write_bytes(os.fsencode(v1 + f"0::{path}\n"))
        (self.proc / "self" / "mountinfo").write_bytes(os.fsencode(mounts))
        return Host(proc=str(self.proc), run=str(self.run))

    def boot_systemd(self) -> None:
        """Make systemd PID 1."""
        (self.run / "systemd" / "system").mkdir(parents=True)

    def process(self, pid: int) -> int:
        """A process of our uid."""
        (self.proc / str(pid)).mkdir()
        return pid


Delegate = Callable[..., None]


@pytest.fixture
def delegate(monkeypatch: pytest.MonkeyPatch) -> Delegate:
    """Marks a cgroup as systemd does for a unit with Delegate=yes.

    In place of extended attributes, which not every file system has; the systemd guest has the
    real ones.
    """
    marks: dict[str, bytes] = {}

    def read(path: str, attribute: str) -> bytes:
        if attribute != "user.delegate" or path not in marks:
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
        return marks[path]

    def mark(own: Path, value: bytes = b"1") -> None:
        marks[str(own)] = value

    monkeypatch.setattr(os, "getxattr", read)
    return mark


def mount(point: Path | str, root: str = "/") -> str:
    """A line of mountinfo."""
    escaped = str(point).replace("\\", "\\134").replace(" ", "\\040").replace("\n", "\\012")
    return f"30 22 0:26 {root} {escaped} rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"


@pytest.fixture
def machine(tmp_path: Path, fake: Tree, request: pytest.FixtureRequest) -> Machine:
    """The machine; nothing may leave descriptors open."""
    request.getfixturevalue("cgroups")
    request.getfixturevalue("no_leaks")
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (tmp_path / "run").mkdir()
    return Machine(fake, proc, tmp_path / "run")


def placed(host: Host, controllers: frozenset[str] = MEMORY) -> str | Refusal:
    """Where own_subtree puts a leaf, or its refusal."""
    found = own_subtree(host, controllers)
    if isinstance(found, Refusal):
        return found
    path = found.path
    found.close()
    return path


def refusal(reason: str, remedy: str) -> Refusal:
    """A refusal of the first step."""
    return Refusal("own subtree", reason, remedy)


# --- where we are ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cgroup", "mounts"),
    [("4:memory:/\n", ""), ("4:memory:/\n0::/\n", ""), ("", ""), ("4:memory:/\n", "MOUNT")],
)
def test_no_v2_hierarchy(machine: Machine, cgroup: str, mounts: str) -> None:
    """Pure v1, v2 not mounted, unreadable files: one reason, and what to do."""
    host = machine.host("/", mounts=mounts.replace("MOUNT", mount(machine.fake.top)))
    (machine.proc / "self" / "cgroup").write_text(cgroup)
    expected = refusal(
        "no cgroup v2 hierarchy is mounted", f"{UNIFIED} or mount cgroup2 on /sys/fs/cgroup"
    )
    assert own_cgroup(host) == expected
    assert placed(host) == expected


def test_unreadable_proc(tmp_path: Path) -> None:
    """No /proc at all is no traceback."""
    assert isinstance(own_cgroup(Host(proc=str(tmp_path), run=str(tmp_path))), Refusal)


@pytest.mark.parametrize("path", ["/..", "/../..", "/../../other"])
def test_outside_the_namespace(machine: Machine, path: str) -> None:
    """A process that was moved out of its cgroup namespace has no path that means anything."""
    assert own_cgroup(machine.host(path)) == refusal(
        f"this process is in {path}, outside its cgroup namespace",
        "start it inside the container's own cgroup namespace",
    )


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "..hidden",
        "späße",
        "a\x0bb",
        "a\x85b\x1c",
        "a\u2028b",
        "a\\040b",
        "a:0::b",
        os.fsdecode(b"\xff\xfe"),
    ],
)
def test_names_of_any_characters(machine: Machine, name: str) -> None:
    """The own cgroup is found byte for byte, never a namesake's or a parent."""
    machine.fake.make(name)
    assert own_cgroup(machine.host(f"/{name}")) == f"{machine.fake.top}/{name}"


@pytest.mark.parametrize("point", ["a b", "n\nl", "back\\slash", "nb\u00a0sp", "v\x0bt"])
def test_mount_points_of_any_characters(machine: Machine, tmp_path: Path, point: str) -> None:
    """Escaped by the kernel or not."""
    (tmp_path / point / "x").mkdir(parents=True)
    found = own_cgroup(machine.host("/x", mounts=mount(tmp_path / point)))
    assert found == f"{tmp_path}/{point}/x"


def test_the_root_is_its_mount_point(machine: Machine) -> None:
    """Without a slash at its end."""
    assert own_cgroup(machine.host("/")) == str(machine.fake.top)


@pytest.mark.parametrize(
    ("root", "path", "inside"),
    [
        ("/a", "/a", ""),
        ("/a", "/a/b", "/b"),
        ("/a/b", "/a/b/c", "/c"),
    ],
)
def test_a_part_of_the_hierarchy_is_mounted(
    machine: Machine, root: str, path: str, inside: str
) -> None:
    """Paths are counted from the mount's own root."""
    for name in ("b", "c"):
        machine.fake.make(name)
    host = machine.host(path, mounts=mount(machine.fake.top, root))
    assert own_cgroup(host) == f"{machine.fake.top}{inside}"


@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("/a", "/ab"),
        ("/a/b", "/a"),
        ("/..", "/"),
        ("/../../other", "/"),
        ("/", "/gone (deleted)"),
        ("/", "/not/here"),
    ],
)
def test_not_below_any_mount(machine: Machine, root: str, path: str) -> None:
    """A mount that shows other parts of the tree than ours is no place: honest, not near enough.

    So a container whose path says `/` while the host's tree is mounted in it (`/..`).
    """
    host = machine.host(path, mounts=mount(machine.fake.top, root))
    own_view = (
        "start the container with --cgroupns=host, or without the host's /sys/fs/cgroup in it, "
        "which rootless podman brings in with --network host"
    )
    assert own_cgroup(host) == refusal(
        f"own cgroup {path} is not below any cgroup2 mount",
        own_view if root.startswith("/..") else "mount the whole hierarchy",
    )


def test_mounted_twice(machine: Machine, tmp_path: Path) -> None:
    """The first mount that shows our cgroup counts, wherever it is."""
    machine.fake.make("a")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    mounts = mount(elsewhere, "/other") + mount(tmp_path / "unmounted") + mount(machine.fake.top)
    assert own_cgroup(machine.host("/a", mounts=mounts)) == f"{machine.fake.top}/a"


# --- no place --------------------------------------------------------------------------------


def test_hybrid(machine: Machine) -> None:
    """v2 is there, but v1 holds memory."""
    machine.fake.put(machine.fake.top, "cgroup.controllers", "\n")
    host = machine.host("/", v1="5:cpu,cpuacct:/\n4:memory:/session\n")
    assert placed(host) == refusal(
        "the memory controller is held by cgroup v1", f"{UNIFIED} cgroup_no_v1=all"
    )


def test_memory_is_not_delegated(machine: Machine) -> None:
    """The controllers end somewhere above."""
    own = machine.fake.make("a", procs=(ME,))
    machine.fake.put(own, "cgroup.controllers", "cpu pids\n")
    assert placed(machine.host("/a")) == refusal(
        f"the memory controller is not delegated to {own}",
        "enable it in the cgroup.subtree_control of each cgroup above",
    )


@pytest.mark.parametrize("kind", ["threaded", "domain invalid"])
def test_thread_groups(machine: Machine, kind: str) -> None:
    """Where only threads may be distributed, no leaf can be."""
    own = machine.fake.make("a", procs=(ME,), kind=f"{kind}\n")
    assert placed(machine.host("/a")) == refusal(f"{own} is {kind}", "start sentinel elsewhere")
    assert machine.fake.log == []


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        (
            errno.EROFS,
            "Read-only file system",
            "mount the cgroup file system writable (docker run --privileged)",
        ),
        (errno.EACCES, "Permission denied", CHOWN),
        (errno.EPERM, "Operation not permitted", CHOWN),
        (errno.ENOSPC, "No space left on device", TOO_MANY),
        (errno.EINVAL, "Invalid argument", "sentinel doctor tells more"),
    ],
)
def test_the_controllers_cannot_be_enabled(
    machine: Machine, error: int, reason: str, remedy: str
) -> None:
    """The file, the value and the errno, each with its own remedy."""
    own = machine.fake.make("a", procs=(ME,))
    machine.fake.refuse("write", "cgroup.subtree_control", error)
    assert placed(machine.host("/a")) == refusal(
        f"cannot write '+memory' to {own}/cgroup.subtree_control: {reason}", remedy
    )
    assert machine.fake.pids(own) == [ME]


@pytest.mark.parametrize("error", [errno.EACCES, errno.EPERM])
def test_a_process_cannot_be_moved(machine: Machine, error: int) -> None:
    """Delegation that ends at the processes."""
    own = machine.fake.make("a", procs=(ME,))
    machine.fake.refuse("write", "cgroup.procs", error)
    assert placed(machine.host("/a")) == refusal(
        f"cannot write '{ME}' to {own}/sentinel-main/cgroup.procs: {os.strerror(error)}", CHOWN
    )


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        (
            errno.EROFS,
            "Read-only file system",
            "mount the cgroup file system writable (docker run --privileged)",
        ),
        (errno.EAGAIN, "Resource temporarily unavailable", TOO_MANY),
        (errno.ENOSPC, "No space left on device", TOO_MANY),
        (errno.EACCES, "Permission denied", CHOWN),
    ],
)
def test_the_child_cannot_be_made(machine: Machine, error: int, reason: str, remedy: str) -> None:
    """The refusal is of the mkdir; EAGAIN is what cgroup.max.descendants and max.depth say."""
    own = machine.fake.make("a", procs=(ME,))
    machine.fake.refuse("mkdir", "sentinel-main", error)
    assert placed(machine.host("/a")) == refusal(
        f"cannot mkdir {own}/sentinel-main: {reason}", remedy
    )


def test_a_neighbour_that_forks_faster_than_we_move(machine: Machine) -> None:
    """A hundred rounds, then the reason."""
    own = machine.fake.make("a", procs=(ME,))
    machine.fake.refuse("write", "cgroup.subtree_control", errno.EBUSY)
    assert placed(machine.host("/a")) == refusal(
        f"cannot write '+memory' to {own}/cgroup.subtree_control: Device or resource busy",
        "stop what keeps starting processes in that cgroup",
    )


def test_systemds_unit_that_was_not_delegated(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root could write there, but it is systemd's."""
    machine.boot_systemd()
    own = machine.fake.make("system.slice/x.service", procs=(ME,))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert placed(machine.host("/system.slice/x.service")) == refusal(
        f"{own} belongs to systemd and was not delegated",
        "systemd-run --scope -p Delegate=yes sentinel exec ...",
    )
    assert machine.fake.log == []


@pytest.fixture
def users(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> tuple[int, Callable[[str], Path]]:
    """An ordinary user under systemd, and how to make a cgroup that is theirs."""
    machine.boot_systemd()
    uid = os.geteuid() or 1234
    monkeypatch.setattr(os, "geteuid", lambda: uid)

    def make(path: str) -> Path:
        own = machine.fake.make(path, procs=(ME,))
        os.chown(own, uid, -1)
        return own

    return uid, make


@pytest.mark.parametrize("answer", ["yes", "no", "", ManagerFault("it hangs")])
def test_a_users_manager_is_asked_what_it_has_delegated(
    machine: Machine,
    users: tuple[int, Callable[[str], Path]],
    answer: str | ManagerFault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All that is below it is the user's, and systemd 252 marks none of it."""
    uid, make = users
    asked = []

    def tell(bus: Bus, name: str, what: str) -> str:
        asked.append((bus.address, name, what))
        if isinstance(answer, ManagerFault):
            raise answer
        return answer

    monkeypatch.setattr(unit, "unit_property", tell)
    path = f"user-{uid}.slice/user@{uid}.service/app.slice/x.service"
    own = make(path)
    host = machine.host(f"/{path}")
    not_delegated = refusal(
        f"{own} belongs to systemd and was not delegated",
        "systemd-run --user --scope -p Delegate=yes sentinel exec ...",
    )
    assert placed(host) == (str(own) if answer == "yes" else not_delegated)
    assert asked == [(f"unix:path={host.run}/user/{uid}/bus", "x.service", "Delegate")]


def test_what_a_user_has_from_the_systems_manager_is_delegated(
    machine: Machine, users: tuple[int, Callable[[str], Path]]
) -> None:
    """It gives a cgroup to a user only where it delegates it, marked or not."""
    _, make = users
    own = make("system.slice/x.service")
    assert placed(machine.host("/system.slice/x.service")) == str(own)


def test_a_cgroup_in_a_unit_is_not_the_units(
    machine: Machine, users: tuple[int, Callable[[str], Path]]
) -> None:
    """Whoever made it below the user's manager is not to be interfered with."""
    uid, make = users
    path = f"user-{uid}.slice/user@{uid}.service/app.slice/x.service/inner"
    own = make(path)
    found = placed(machine.host(f"/{path}"))
    assert isinstance(found, Refusal)
    assert found.reason == f"{own} belongs to systemd and was not delegated"


@pytest.mark.parametrize("systemd", [False, True])
def test_the_owner_is_somebody_else(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, *, systemd: bool
) -> None:
    """An ordinary user in a cgroup of root's."""
    if systemd:
        machine.boot_systemd()
    own = machine.fake.make("a", procs=(ME,))
    uid = os.stat(own).st_uid + 4242
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    remedy = SCOPE if systemd else CHOWN
    assert placed(machine.host("/a")) == refusal(f"{own} is not owned by uid {uid}", remedy)
    assert machine.fake.log == []


def test_strangers_are_not_moved(
    machine: Machine, delegate: Delegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes of another uid in the same cgroup, and of another pid namespace (0)."""
    own = machine.fake.make("a", procs=(ME, 77))
    machine.process(77)
    uid = os.stat(own).st_uid
    delegate(own)
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    expected = refusal(
        f"{own} also holds processes that are not ours (77)",
        "start sentinel in a cgroup of its own",
    )
    assert placed(machine.host("/a")) == expected
    machine.fake.put(own, "cgroup.procs", f"{ME}\n0\n")
    assert placed(machine.host("/a")) == expected._replace(
        reason=expected.reason.replace("77", "0")
    )


def test_with_systemd_only_ourselves_are_ours(machine: Machine, delegate: Delegate) -> None:
    """A user's other processes in a delegated scope belong to whatever started them."""
    machine.boot_systemd()
    own = machine.fake.make("scope", procs=(ME, machine.process(77)))
    delegate(own)
    assert placed(machine.host("/scope")) == refusal(
        f"{own} also holds processes that are not ours (77)",
        "start sentinel in a cgroup of its own",
    )


# --- a place ---------------------------------------------------------------------------------


def test_the_real_root(machine: Machine) -> None:
    """Root without systemd: nothing needs to move, the root may hold processes and controllers."""
    fake = machine.fake
    fake.put(fake.top, "cgroup.procs", f"1\n{ME}\n0\n")
    assert placed(machine.host("/")) == str(fake.top)
    assert fake.get(fake.top, "cgroup.subtree_control") == "memory"
    assert fake.pids(fake.top) == [1, ME, 0]
    assert [path for path in fake.top.iterdir() if path.is_dir()] == []


def test_a_cgroup_of_our_own(machine: Machine) -> None:
    """We, and our other processes, move one level down; then controllers can be handed out."""
    fake = machine.fake
    own = fake.make("a", procs=(ME, machine.process(77), 78))
    assert placed(machine.host("/a")) == str(own)
    assert fake.get(own, "cgroup.subtree_control") == "memory"
    assert fake.pids(own) == []
    assert fake.pids(own / "sentinel-main") == [ME, 77, 78]


def test_a_process_that_ends_while_it_is_moved(machine: Machine) -> None:
    """ESRCH is an answer; the others are moved."""
    fake = machine.fake
    own = fake.make("a", procs=(77, ME, 78))
    fake.ending = {77, 78}
    assert placed(machine.host("/a")) == str(own)
    assert fake.pids(own / "sentinel-main") == [ME]


@pytest.mark.parametrize("name", ["a", "sentinel-main"])
def test_controllers_that_are_enabled_already(machine: Machine, name: str) -> None:
    """Nothing is written a second time; from inside `sentinel-main` the place is beside it."""
    fake = machine.fake
    fake.make("a/sentinel-main", procs=(ME,))
    path = "/a" if name == "a" else "/a/sentinel-main"
    assert placed(machine.host(path)) == f"{fake.top}/a"
    assert fake.log == []


def test_only_controllers_that_are_there_are_asked_for(machine: Machine) -> None:
    """--pids and --cpus without their controllers: the leaf tells what it cannot enforce."""
    fake = machine.fake
    own = fake.make("a", procs=(ME,))
    fake.put(own, "cgroup.controllers", "memory pids\n")
    assert placed(machine.host("/a"), frozenset({"memory", "pids", "cpu"})) == str(own)
    assert fake.get(own, "cgroup.subtree_control") == "memory pids"


def test_inside_another_runs_leaf(machine: Machine) -> None:
    """All of that run moves into `main`, and the new leaf is made beside it."""
    fake = machine.fake
    outer = fake.make("sentinel-run-x-1", procs=(ME, 77))
    assert placed(machine.host("/sentinel-run-x-1")) == str(outer)
    assert fake.pids(outer / "main") == [ME, 77]
    assert fake.get(outer, "cgroup.subtree_control") == "memory"


def test_beside_main_of_another_runs_leaf(machine: Machine) -> None:
    """The second nested run finds everything in place."""
    fake = machine.fake
    outer = fake.make("sentinel-run-x-1/main", procs=(ME, 77)).parent
    assert placed(machine.host("/sentinel-run-x-1/main")) == str(outer)
    assert fake.log == []


def test_in_a_leaf_inside_a_leaf(machine: Machine) -> None:
    """The innermost one is the caller's subtree."""
    fake = machine.fake
    inner = fake.make("sentinel-run-x-1/sentinel-run-y-2", procs=(ME,))
    assert placed(machine.host("/sentinel-run-x-1/sentinel-run-y-2")) == str(inner)
    assert fake.pids(inner / "main") == [ME]


def test_a_cgroup_that_the_command_of_a_run_made(machine: Machine) -> None:
    """Neither the leaf nor its `main`: its own subtree, which it does not leave."""
    fake = machine.fake
    own = fake.make("sentinel-run-x-1/mine", procs=(ME,))
    assert placed(machine.host("/sentinel-run-x-1/mine")) == str(own)
    assert fake.pids(own / "sentinel-main") == [ME]


def test_main_of_something_else_is_no_main(machine: Machine) -> None:
    """A cgroup that happens to be called `main` is one like any other."""
    own = machine.fake.make("app/main", procs=(ME,))
    assert placed(machine.host("/app/main")) == str(own)


def test_a_delegated_unit(machine: Machine, delegate: Delegate) -> None:
    """The mark that systemd leaves is believed."""
    machine.boot_systemd()
    own = machine.fake.make("scope", procs=(ME,))
    delegate(own)
    assert placed(machine.host("/scope")) == str(own)
    assert machine.fake.pids(own / "sentinel-main") == [ME]


def test_a_mark_that_says_no(
    machine: Machine, delegate: Delegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only `1` delegates."""
    own = machine.fake.make("scope", procs=(ME,))
    delegate(own, b"0")
    uid = os.stat(own).st_uid + 1
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert placed(machine.host("/scope")) == refusal(f"{own} is not owned by uid {uid}", CHOWN)


def test_the_ladder_tells_every_step(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first place wins; what was refused on the way is kept."""
    machine.fake.make("a", procs=(ME,))
    first, last = (refusal(word, "") for word in ("first", "last"))
    steps = [lambda *_: first, own_subtree, lambda *_: last]
    monkeypatch.setattr(ladder, "_steps", lambda: steps)
    place, refusals = find_place(MEMORY, machine.host("/a"))
    assert place is not None
    assert (place.path, refusals) == (f"{machine.fake.top}/a", (first,))
    place.close()
    assert find_place(MEMORY, machine.host("/..")) == (
        None,
        (first, own_cgroup(machine.host("/..")), last),
    )

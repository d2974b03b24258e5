"""Beside systemd-oomd and OOMPolicy: what is marked, what is asked, and what the doctor says."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sentinel.cgroup import coexistence, unit
from sentinel.cgroup.manager import Bus, ManagerFault, unit_property
from sentinel.cgroup.placement import Host
from sentinel.linux import mlock
from sentinel.linux.mlock import Held
from sentinel.model.diagnosis import Check
from tests.cgroup.fakebus import Client, serving

UNIT = "job.service"
PATH = "/org/freedesktop/systemd1/unit/job_2eservice"
UID = os.geteuid()


@pytest.fixture
def marks(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Extended attributes of the directories that are there, kept here."""
    kept: dict[str, bytes] = {}

    def write(path: str, name: str, value: bytes) -> None:
        os.stat(path)
        kept[f"{path} {name}"] = value

    def read(path: str, name: str) -> bytes:
        try:
            return kept[f"{path} {name}"]
        except KeyError:
            raise OSError from None

    monkeypatch.setattr(os, "setxattr", write)
    monkeypatch.setattr(os, "getxattr", read)
    return kept


@pytest.fixture
def stand(tmp_path: Path) -> Callable[[str], Host]:
    """Let this process be in a cgroup of a machine with systemd and systemd-oomd."""
    for name in ("proc/self", "run/systemd/system", "run/systemd/oom"):
        (tmp_path / name).mkdir(parents=True)
    mount = f"30 22 0:26 / {tmp_path}/cgroup rw - cgroup2 cgroup2 rw\n"
    (tmp_path / "proc/self/mountinfo").write_text(mount)

    def standing(path: str) -> Host:
        (tmp_path / f"cgroup{path}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "proc/self/cgroup").write_text(f"0::{path}\n")
        return Host(str(tmp_path / "proc"), str(tmp_path / "run"))

    return standing


def test_the_guards_cgroup_is_marked_and_no_leaf(tmp_path: Path, marks: dict[str, bytes]) -> None:
    """Both names that the guard's cgroup can have; what is not there is passed over."""
    for name in ("supervisor", "sentinel-run-a-1"):
        (tmp_path / name).mkdir()
    coexistence.spare_from_oomd(str(tmp_path))
    assert marks == {f"{tmp_path}/supervisor user.oomd_avoid": b"1"}


@pytest.mark.parametrize(
    "spared",
    [
        (0, "takes a guard after everything else"),
        (7, "takes a guard last when the systemd of uid 7 is under pressure, elsewhere as any"),
    ],
)
def test_the_doctor_tells_whether_systemd_oomd_spares_the_guard(
    tmp_path: Path,
    stand: Callable[[str], Host],
    marks: dict[str, bytes],
    spared: tuple[int, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the scope it does, in a cgroup shared with the command it does not."""
    host = stand("/a.scope/supervisor")
    uid, detail = spared
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    where = f"{tmp_path}/cgroup/a.scope/supervisor"
    assert coexistence.probe_oomd(host) == Check(
        "systemd-oomd",
        works=False,
        detail=f"may end a guard as soon as its command: {where} is not marked user.oomd_avoid",
        remedy="let runs have a cgroup of their own",
    )
    coexistence.spare_from_oomd(f"{tmp_path}/cgroup/a.scope")
    assert len(marks) == 1
    assert coexistence.probe_oomd(host) == Check("systemd-oomd", works=True, detail=detail)
    os.rmdir(f"{host.run}/systemd/oom")
    assert coexistence.probe_oomd(host) is None


def test_without_systemd_there_is_no_policy(stand: Callable[[str], Host]) -> None:
    """Nor where no unit is around us."""
    host = stand("/user.slice")
    assert coexistence.probe_oom_policy(host) is None
    os.rmdir(f"{host.run}/systemd/system")
    stand("/job.service")
    assert coexistence.probe_oom_policy(host) is None


def test_our_own_scope_is_not_asked_about(stand: Callable[[str], Host]) -> None:
    """It is delegated: its policy is known."""
    assert coexistence.probe_oom_policy(stand("/s.service/sentinel-1-ab.scope/supervisor")) == (
        Check("OOMPolicy", works=True, detail="continue: the scope is ours and delegated")
    )


@pytest.mark.parametrize(
    ("place", "address", "owner"),
    [
        ("/system.slice/job.service/sentinel-main", "dbus/system_bus_socket", "systemd"),
        (f"/user@{UID}.service/app.slice/job.service", f"user/{UID}/bus", "the user's systemd"),
        ("/user@77777.service/job.service", "dbus/system_bus_socket", "systemd"),
    ],
)
def test_the_manager_of_the_unit_is_asked(
    place: str,
    address: str,
    owner: str,
    stand: Callable[[str], Host],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The user's for what is below it, else the system's."""
    host = stand(place)
    asked = []

    def policy(*words: object) -> str:
        asked.append(words)
        return "continue"

    monkeypatch.setattr(unit, "unit_property", policy)
    found = coexistence.probe_oom_policy(host)
    assert found == Check("OOMPolicy", works=True, detail="continue, of job.service")
    assert asked == [(Bus(f"unix:path={host.run}/{address}", owner), UNIT, "OOMPolicy")]


@pytest.mark.parametrize(
    ("policy", "check"),
    [
        ("", Check("OOMPolicy", works=True, detail="none, of job.service")),
        (
            "stop",
            Check(
                "OOMPolicy",
                works=False,
                detail="stop: an OOM at the hard limit ends all of job.service, "
                "and the guard with it",
                remedy="OOMPolicy=continue in job.service (systemctl edit)",
            ),
        ),
        (
            ManagerFault("no", "ask again"),
            Check("OOMPolicy", works=True, detail="of job.service is not known: no"),
        ),
    ],
)
def test_what_the_policy_means(
    policy: str | ManagerFault,
    check: Check,
    stand: Callable[[str], Host],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A unit that ends with its run ends the guard; not to know is no fault."""

    def answer(*_: object) -> str:
        if isinstance(policy, ManagerFault):
            raise policy
        return policy

    monkeypatch.setattr(unit, "unit_property", answer)
    assert coexistence.probe_oom_policy(stand("/job.service")) == check


@pytest.mark.parametrize(
    ("held", "check"),
    [
        (None, None),
        (
            Held(7 << 20, 6 << 20),
            Check(
                "guard's memory",
                works=True,
                detail="6M of the 7M that could be swapped out are locked",
            ),
        ),
        (
            Held(7 << 20, 0),
            Check(
                "guard's memory",
                works=False,
                detail="nothing of the 7M that could be swapped out may be locked",
                remedy="raise ulimit -l, or LimitMEMLOCK= of the unit",
            ),
        ),
    ],
)
def test_what_is_locked(
    held: Held | None, check: Check | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How much, of what swap could take."""
    monkeypatch.setattr(mlock, "held_in_memory", lambda: held)
    assert coexistence.probe_memory() == check


def get_unit(client: Client) -> None:
    """Let in and answer up to the path of the unit."""
    client.log_in()
    client.answer(client.take("Hello"), "s", ":1.5")
    client.answer(client.take("GetUnit"), "o", PATH)


def test_the_policy_of_a_unit_is_read(tmp_path: Path) -> None:
    """By its path, from the interface of its kind."""

    def serve(client: Client) -> None:
        get_unit(client)
        client.answer(client.take("Get"), "v", ("s", "stop"))

    with serving(f"{tmp_path}/bus", serve) as clients:
        assert (
            unit_property(Bus(f"unix:path={tmp_path}/bus", "systemd"), UNIT, "OOMPolicy") == "stop"
        )
    assert clients[0].asked[1:] == [
        ("GetUnit", (UNIT,)),
        ("Get", ("org.freedesktop.systemd1.Service", "OOMPolicy")),
    ]


def test_a_kind_of_unit_that_has_none(tmp_path: Path) -> None:
    """Scopes have a policy only since systemd 253."""

    def serve(client: Client) -> None:
        get_unit(client)
        client.refuse(client.take("Get"), "org.freedesktop.DBus.Error.UnknownProperty", "none")

    with serving(f"{tmp_path}/bus", serve):
        bus = Bus(f"unix:path={tmp_path}/bus", "systemd")
        assert unit_property(bus, "a.scope", "OOMPolicy") == ""


def test_a_unit_that_nobody_knows(tmp_path: Path) -> None:
    """The manager's words are the reason."""

    def serve(client: Client) -> None:
        client.log_in()
        client.answer(client.take("Hello"), "s", ":1.5")
        client.refuse(client.take("GetUnit"), "org.freedesktop.systemd1.NoSuchUnit", "not loaded")

    bus = Bus(f"unix:path={tmp_path}/bus", "systemd")
    with serving(f"{tmp_path}/bus", serve), pytest.raises(ManagerFault) as raised:
        unit_property(bus, UNIT, "OOMPolicy")
    assert raised.value.message == "systemd refused GetUnit: NoSuchUnit: not loaded"

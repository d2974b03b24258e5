"""The talk with systemd, against a bus of our own: what is asked, and every way it can fail."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from sentinel.cgroup import manager
from sentinel.cgroup.manager import Bus, ManagerFault, start_scope
from sentinel.linux import sdbus
from tests.cgroup.fakebus import Client, serving

UNIT = "sentinel-1-abcd.scope"
HANGS = "look why it hangs (systemctl status), or choose --backend rss to skip it"
STATUS = "systemctl status (--user when not root) tells whether systemd is there"


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the bus listens."""
    return str(tmp_path / "bus")


def fault(path: str) -> ManagerFault:
    """Why no scope was had."""
    with pytest.raises(ManagerFault) as raised:
        start_scope(Bus(f"unix:path={path}", "systemd"), UNIT, {})
    return raised.value


def good(client: Client) -> None:
    """A manager as it should be."""
    client.log_in()
    unit = client.greet()
    client.start()
    client.job_removed(unit)


def test_a_scope_with_our_pid_and_delegation_is_asked_for(path: str) -> None:
    """The match comes before the call, and the call asks for nothing but what it needs."""
    with serving(path, good) as clients:
        start_scope(Bus(f"unix:path={path}", "systemd"), UNIT, {})
    (hello, (_, (rule,)), (_, start)) = clients[0].asked
    assert hello == ("Hello", ())
    assert "member='JobRemoved'" in rule
    assert f"arg2='{UNIT}'" in rule
    unit, mode, properties, others = start
    assert (unit, mode, others) == (UNIT, "fail", [])
    asked = dict(properties)
    assert asked["PIDs"] in (("au", [os.getpid()]), ("au", [0]))
    assert asked["Delegate"] == ("b", True)
    assert asked["CollectMode"] == ("s", "inactive-or-failed")
    assert set(asked) == {"Description", "PIDs", "Delegate", "CollectMode"}


def test_the_limits_of_the_scope_are_asked_for(path: str) -> None:
    """As numbers of 64 bits: more than 4 GiB arrives whole."""
    with serving(path, good) as clients:
        start_scope(Bus(f"unix:path={path}", "systemd"), UNIT, {"MemoryMax": (5 << 32) + 1})
    asked = dict(clients[0].asked[2][1][2])
    assert asked["MemoryMax"] == ("t", (5 << 32) + 1)


def test_a_foreign_pid_namespace_asks_for_the_sender(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our number may be somebody else's there: 0 means who asks."""
    monkeypatch.setattr(manager, "_INITIAL_PID_NAMESPACE", 1)
    with serving(path, good) as clients:
        start_scope(Bus(f"unix:path={path}", "systemd"), UNIT, {})
    assert dict(clients[0].asked[2][1][2])["PIDs"] == ("au", [0])


def test_a_job_may_be_over_before_its_reply(path: str) -> None:
    """The signal that overtakes the reply is kept; other jobs' signals mean nothing."""

    def serve(client: Client) -> None:
        client.log_in()
        unit = client.greet()
        client.job_removed(unit, "failed", "/org/freedesktop/systemd1/job/6")
        client.job_removed(unit)
        client.start()

    with serving(path, serve):
        start_scope(Bus(f"unix:path={path}", "systemd"), UNIT, {})


def test_a_job_that_fails(path: str) -> None:
    """Its result stands in the line."""

    def serve(client: Client) -> None:
        client.log_in()
        unit = client.greet()
        client.start()
        client.job_removed(unit, "timeout")

    with serving(path, serve):
        error = fault(path)
    assert error.message == f"systemd made no scope {UNIT}: its job ended with 'timeout'"
    assert error.remedy == f"journalctl -u {UNIT} (--user when not root) tells why"


@pytest.mark.parametrize(
    ("name", "words", "message", "remedy"),
    [
        (
            "org.freedesktop.DBus.Error.ServiceUnknown",
            ("no \x1b[31m%s {}",),
            "systemd refused a scope: ServiceUnknown: no \x1b[31m%s {}",
            STATUS,
        ),
        ("org.freedesktop.DBus.Error.Failed", (), "org.freedesktop.DBus.Error.Failed", STATUS),
        (
            "org.freedesktop.DBus.Error.AccessDenied",
            ("no",),
            "systemd refused a scope: AccessDenied: no",
            "run as root, or as a user with a manager of their own (loginctl enable-linger)",
        ),
    ],
)
def test_a_refusal_is_told(
    path: str, name: str, words: tuple[str, ...], message: str, remedy: str
) -> None:
    """What the manager says is data; who is not allowed hears who is."""

    def serve(client: Client) -> None:
        client.log_in()
        client.greet()
        client.refuse_start(name, *words)

    with serving(path, serve):
        error = fault(path)
    assert error.message.removeprefix("systemd refused a scope: ") == message.removeprefix(
        "systemd refused a scope: "
    )
    assert error.remedy == remedy


def test_a_bus_that_refuses_the_login(path: str) -> None:
    """Whoever is not let in hears what was said."""
    with serving(path, lambda client: client.log_in(b"REJECTED EXTERNAL\r\n")):
        error = fault(path)
    assert error.message == (
        f"unix:path={path} does not speak D-Bus with us: Operation not permitted"
    )


def hang_at_login(client: Client) -> None:
    """Accept and say nothing."""
    client.wait_for_hangup()


def hang_at_hello(client: Client) -> None:
    """Let in, then say nothing."""
    client.log_in()
    client.wait_for_hangup()


def hang_at_job(client: Client) -> None:
    """Promise a job that never ends."""
    client.log_in()
    client.greet()
    client.start()
    client.wait_for_hangup()


@pytest.mark.parametrize("serve", [hang_at_login, hang_at_hello, hang_at_job])
def test_a_bus_that_hangs_is_given_up(
    path: str, serve: Callable[[Client], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it hangs, there is an end to waiting."""
    monkeypatch.setattr(manager, "PATIENCE", 0.2)
    with serving(path, serve):
        error = fault(path)
    assert error.message == f"systemd did not answer on unix:path={path} within 0.2 s"
    assert error.remedy == HANGS


def test_a_bus_that_trickles_is_given_up(path: str) -> None:
    """The deadline is one for everything: signals that never are ours do not prolong it."""
    moments = iter([0.0] * 6 + [100.0] * 100)

    def serve(client: Client) -> None:
        client.log_in()
        unit = client.greet()
        for _ in range(3):
            client.job_removed(unit, job="/org/freedesktop/systemd1/job/1")
        client.wait_for_hangup()

    with serving(path, serve), pytest.raises(ManagerFault) as raised:
        start_scope(Bus(f"unix:path={path}", "systemd"), UNIT, {}, clock=lambda: next(moments))
    assert raised.value.remedy == HANGS


@pytest.mark.parametrize("garbage", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"x" * 9000])
def test_what_is_no_bus_is_no_traceback(path: str, garbage: bytes) -> None:
    """Whatever listens there instead, and hangs up: one line with the address."""

    def serve(client: Client) -> None:
        client.raw(garbage)

    with serving(path, serve):
        error = fault(path)
    assert path in error.message
    assert error.remedy


def test_garbage_after_the_login_is_no_traceback(path: str) -> None:
    """Bytes that are no message at all."""

    def serve(client: Client) -> None:
        client.log_in()
        client.greet()
        client.raw(b"\xff" * 64)

    with serving(path, serve):
        error = fault(path)
    assert path in error.message


def test_a_machine_without_the_library(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that says which it is and how it is called where."""
    monkeypatch.setattr(sdbus, "_LIBRARY", "libnowhere.so.0")
    error = fault(path)
    assert error.message.startswith("the library of systemd cannot be loaded: libnowhere.so.0: ")
    assert error.remedy == "install it: libsystemd0, or systemd-libs"


def test_an_address_that_is_none() -> None:
    """What the environment names may be anything."""
    with pytest.raises(ManagerFault) as raised:
        start_scope(Bus("unix:path=%zz", "the user's systemd"), UNIT, {})
    assert raised.value.message == (
        "the user's systemd is not reached on unix:path=%zz: Invalid argument"
    )


def test_nobody_listens(path: str) -> None:
    """No socket, or one whose server is gone."""
    unreached = f"systemd is not reached on unix:path={path}"
    assert fault(path).message == f"{unreached}: No such file or directory"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    error = fault(path)
    assert error.message == f"{unreached}: Connection refused"
    assert error.remedy == "start the bus: systemctl start dbus.socket (--user when not root)"

"""A transient scope from a systemd manager, over D-Bus (org.freedesktop.systemd1(5)).

The login, the match for JobRemoved (so that a job that is quicker than its reply is not missed)
and StartTransientUnit go out without waiting for each other; then everything is awaited under one
deadline.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from sentinel.linux.clock import monotonic
from sentinel.linux.sdbus import Call, Connection, Message
from sentinel.model.errors import SentinelError

PATIENCE = 5.0
"""Seconds for connecting, authenticating and the job together. A manager that is being started
takes 1 s; D-Bus itself would wait for 25."""

_NAME = "org.freedesktop.systemd1"
_PATH = "/org/freedesktop/systemd1"
_INTERFACE = "org.freedesktop.systemd1.Manager"
_START = Call(_NAME, _PATH, _INTERFACE, "StartTransientUnit")
_MATCH = Call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch")
_SKIP = "look what listens there, or choose --backend rss to skip it"

_INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""Inode of /proc/self/ns/pid (include/linux/proc_ns.h, PROC_PID_INIT_INO)."""


class Bus(NamedTuple):
    """A message bus: its D-Bus address, and whose manager it has."""

    address: str
    owner: str


class ManagerFault(SentinelError):
    """The manager gave no scope: why, and what helps."""


def start_scope(bus: Bus, unit: str, clock: Callable[[], float] = monotonic) -> None:
    """Have the manager on `bus` put this process alone into a delegated scope called `unit`.

    Returns once it is there. Raises ManagerFault, at the latest after PATIENCE.
    """
    deadline = clock() + PATIENCE
    connection = _connected(bus)
    try:
        matched, started = connection.send(_MATCH, "s", _rule(unit)), _send_start(connection, unit)
        job, results = "", dict[str, str]()
        while not job or job not in results:
            message = _next(connection, bus, deadline - clock())
            if message is None:
                continue
            if message.error and message.answers in (matched, started):
                raise _refused(message)
            if message.answers == started:
                (job,) = message.texts
            elif message.member == "JobRemoved":
                path, _, result = message.texts
                results[path] = result
    except OSError as error:
        raise ManagerFault(
            f"{bus.address} does not speak D-Bus with us: {error.strerror}", _SKIP
        ) from error
    finally:
        connection.close()
    if results[job] != "done":
        raise ManagerFault(
            f"systemd made no scope {unit}: its job ended with {results[job]!r}",
            f"journalctl -u {unit} (--user when not root) tells why",
        )


def _connected(bus: Bus) -> Connection:
    try:
        return Connection(bus.address)
    except ImportError as error:
        raise ManagerFault(
            f"the library of systemd cannot be loaded: {error}",
            "install it: libsystemd0, or systemd-libs",
        ) from error
    except OSError as error:
        raise ManagerFault(
            f"{bus.owner} is not reached on {bus.address}: {error.strerror}",
            "start the bus: systemctl start dbus.socket (--user when not root)",
        ) from error


def _next(connection: Connection, bus: Bus, left: float) -> Message | None:
    """The next message, if one comes soon. Raises ManagerFault when nothing is `left`."""
    if left <= 0:
        raise ManagerFault(
            f"{bus.owner} did not answer on {bus.address} within {PATIENCE:g} s",
            "look why it hangs (systemctl status), or choose --backend rss to skip it",
        )
    return connection.receive(left)


def _rule(unit: str) -> str:
    rule = f"type='signal',sender='{_NAME}',path='{_PATH}',interface='{_INTERFACE}'"
    return f"{rule},member='JobRemoved',arg2='{unit}'"


def _send_start(connection: Connection, unit: str) -> int:
    properties: tuple[tuple[str | int, ...], ...] = (
        ("Description", "s", "Sentinel guards a command"),
        ("PIDs", "au", 1, _own_number()),
        # Its OOMPolicy is `continue` by that (systemd.service(5)): an OOM in a leaf is for us.
        ("Delegate", "b", 1),
        ("CollectMode", "s", "inactive-or-failed"),
    )
    values = [value for words in properties for value in words]
    signature = "ssa(sv)a(sa(sv))"
    return connection.send(_START, signature, unit, "fail", len(properties), *values, 0)


def _own_number() -> int:
    """Our pid as the manager knows it; 0, the sender, where our numbers are not its numbers."""
    try:
        initial = os.stat("/proc/self/ns/pid").st_ino == _INITIAL_PID_NAMESPACE
    except OSError:
        initial = False
    return os.getpid() if initial else 0


def _refused(message: Message) -> ManagerFault:
    """An error that came back, as data: its words may be anything."""
    short = message.error.rpartition(".")[2]
    said = f"{short}: {message.texts[0]}" if message.texts else message.error
    if short in ("AccessDenied", "InteractiveAuthorizationRequired"):
        remedy = "run as root, or as a user with a manager of their own (loginctl enable-linger)"
    else:
        remedy = "systemctl status (--user when not root) tells whether systemd is there"
    return ManagerFault(f"systemd refused a scope: {said}", remedy)

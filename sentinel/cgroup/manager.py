"""A transient scope from a systemd manager, over D-Bus (org.freedesktop.systemd1(5)).

The login, the match for JobRemoved (so that a job that is quicker than its reply is not missed)
and StartTransientUnit go out without waiting for each other; then everything is awaited under one
deadline.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from sentinel.linux.clock import monotonic
from sentinel.linux.sdbus import Call, Connection, Message, Wide
from sentinel.model.errors import SentinelError

PATIENCE = 5.0
"""Seconds for connecting, authenticating and the job together. A manager that is being started
takes 1 s; D-Bus itself would wait for 25."""

_NAME = "org.freedesktop.systemd1"
_PATH = "/org/freedesktop/systemd1"
_INTERFACE = "org.freedesktop.systemd1.Manager"
_START = Call(_NAME, _PATH, _INTERFACE, "StartTransientUnit")
_MATCH = Call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch")
_GET_UNIT = Call(_NAME, _PATH, _INTERFACE, "GetUnit")
_PROPERTIES = "org.freedesktop.DBus.Properties"
_SKIP = "look what listens there, or choose --backend rss to skip it"

_INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""Inode of /proc/self/ns/pid (include/linux/proc_ns.h, PROC_PID_INIT_INO)."""


class Bus(NamedTuple):
    """A message bus: its D-Bus address, and whose manager it has."""

    address: str
    owner: str


class ManagerFault(SentinelError):
    """The manager gave no scope: why, and what helps."""


def start_scope(
    bus: Bus, unit: str, limits: Mapping[str, int], clock: Callable[[], float] = monotonic
) -> None:
    """Have the manager on `bus` put this process alone into a delegated scope called `unit`.

    `limits`: bytes by the property that limits memory (systemd.resource-control(5)).

    Returns once it is there. Raises ManagerFault, at the latest after PATIENCE.
    """
    with _talk(bus, clock) as talk:
        matched, started = talk.send(_MATCH, "s", _rule(unit)), _send_start(talk, unit, limits)
        job, results = "", dict[str, str]()
        while not job or job not in results:
            message = talk.receive()
            if message.error and message.answers in (matched, started):
                raise _refused("a scope", message)
            if message.answers == started:
                (job,) = message.texts
            elif message.member == "JobRemoved":
                path, _, result = message.texts
                results[path] = result
    if results[job] != "done":
        raise ManagerFault(
            f"systemd made no scope {unit}: its job ended with {results[job]!r}",
            f"journalctl -u {unit} (--user when not root) tells why",
        )


def unit_property(bus: Bus, unit: str, name: str, clock: Callable[[], float] = monotonic) -> str:
    """The property `name` of `unit`, a service or a scope; empty where its kind has none.

    A boolean is `yes` or `no`, as systemctl(1) shows it.

    Raises ManagerFault, at the latest after PATIENCE.
    """
    kind = unit.rpartition(".")[2].capitalize()
    with _talk(bus, clock) as talk:
        (path,) = talk.ask(_GET_UNIT, "s", unit).texts
        get = Call(_NAME, path, _PROPERTIES, "Get")
        try:
            return talk.ask(get, "ss", f"{_NAME}.{kind}", name).texts[0]
        except ManagerFault:
            return ""


class _Talk:
    """One connection to a bus, bounded by one deadline."""

    def __init__(self, connection: Connection, bus: Bus, clock: Callable[[], float]) -> None:
        self.send = connection.send
        self._connection = connection
        self._bus = bus
        self._clock = clock
        self._deadline = clock() + PATIENCE

    def receive(self) -> Message:
        """The next message. Raises OSError, and ManagerFault when the time is over."""
        while True:
            left = self._deadline - self._clock()
            if left <= 0:
                raise ManagerFault(
                    f"{self._bus.owner} did not answer on {self._bus.address} "
                    f"within {PATIENCE:g} s",
                    "look why it hangs (systemctl status), or choose --backend rss to skip it",
                )
            message = self._connection.receive(left)
            if message is not None:
                return message

    def ask(self, call: Call, signature: str, *values: str | int) -> Message:
        """The answer to `call`. Raises ManagerFault when it is an error."""
        sent = self.send(call, signature, *values)
        while (message := self.receive()).answers != sent:
            continue
        if message.error:
            raise _refused(call.member, message)
        return message


@contextmanager
def _talk(bus: Bus, clock: Callable[[], float]) -> Iterator[_Talk]:
    """Talk with `bus`; every way in which it does not becomes a ManagerFault."""
    connection = _connected(bus)
    try:
        yield _Talk(connection, bus, clock)
    except (OSError, ValueError) as error:  # ValueError: an answer of another shape
        words = error.strerror if isinstance(error, OSError) else error
        raise ManagerFault(f"{bus.address} does not speak D-Bus with us: {words}", _SKIP) from error
    finally:
        connection.close()


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


def _rule(unit: str) -> str:
    rule = f"type='signal',sender='{_NAME}',path='{_PATH}',interface='{_INTERFACE}'"
    return f"{rule},member='JobRemoved',arg2='{unit}'"


def _send_start(talk: _Talk, unit: str, limits: Mapping[str, int]) -> int:
    properties: tuple[tuple[str | int, ...], ...] = (
        ("Description", "s", "Sentinel guards a command"),
        ("PIDs", "au", 1, _own_number()),
        # Its OOMPolicy is `continue` by that (systemd.service(5)): an OOM in a leaf is for us.
        ("Delegate", "b", 1),
        ("CollectMode", "s", "inactive-or-failed"),
        *((name, "t", Wide(size)) for name, size in limits.items()),
    )
    values = [value for words in properties for value in words]
    signature = "ssa(sv)a(sa(sv))"
    return talk.send(_START, signature, unit, "fail", len(properties), *values, 0)


def _own_number() -> int:
    """Our pid as the manager knows it; 0, the sender, where our numbers are not its numbers."""
    try:
        initial = os.stat("/proc/self/ns/pid").st_ino == _INITIAL_PID_NAMESPACE
    except OSError:
        initial = False
    return os.getpid() if initial else 0


def _refused(what: str, message: Message) -> ManagerFault:
    """An error that came back, as data: its words may be anything."""
    short = message.error.rpartition(".")[2]
    said = f"{short}: {message.texts[0]}" if message.texts else message.error
    if short in ("AccessDenied", "InteractiveAuthorizationRequired"):
        remedy = "run as root, or as a user with a manager of their own (loginctl enable-linger)"
    else:
        remedy = "systemctl status (--user when not root) tells whether systemd is there"
    return ManagerFault(f"systemd refused {what}: {said}", remedy)

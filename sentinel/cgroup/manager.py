"""A transient scope from a systemd manager, over D-Bus (org.freedesktop.systemd1(5)).

Three messages go out at once: Hello, the match for JobRemoved (so that a job that is quicker than
its reply is not missed), and StartTransientUnit; then everything is awaited under one deadline.
jeepney brings messages and authentication; the socket is our own, because jeepney's waits for the
answer to Hello without any limit.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sentinel.linux.clock import monotonic
from sentinel.model.errors import SentinelError

if TYPE_CHECKING:
    from jeepney import Message, Parser

PATIENCE = 5.0
"""Seconds for connecting, authenticating and the job together. A manager that is being started
takes 1 s; D-Bus itself would wait for 25."""

_HELLO, _MATCH, _START = 1, 2, 3
"""Serials of our three messages."""
_NAME = "org.freedesktop.systemd1"
_PATH = "/org/freedesktop/systemd1"
_INTERFACE = "org.freedesktop.systemd1.Manager"
_READ_BYTES = 4096

_INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""Inode of /proc/self/ns/pid (include/linux/proc_ns.h, PROC_PID_INIT_INO)."""


class Bus(NamedTuple):
    """A message bus: the address of its socket (a NUL in front: abstract), whose manager it has."""

    address: str
    owner: str


class ManagerFault(SentinelError):
    """The manager gave no scope: why, and what helps."""


def start_scope(bus: Bus, unit: str, clock: Callable[[], float] = monotonic) -> None:
    """Have the manager on `bus` put this process alone into a delegated scope called `unit`.

    Returns once it is there. Raises ManagerFault, at the latest after PATIENCE.
    """
    deadline = clock() + PATIENCE
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            _Conversation(connection, deadline, clock).start(bus.address, unit)
    except TimeoutError:
        raise ManagerFault(
            f"{bus.owner} did not answer on {_shown(bus)} within {PATIENCE:g} s",
            "look why it hangs (systemctl status), or choose --backend rss to skip it",
        ) from None
    except OSError as error:
        raise ManagerFault(
            f"{bus.owner} is not reached on {_shown(bus)}: {error.strerror or error}",
            "start the bus: systemctl start dbus.socket (--user when not root)",
        ) from error
    except ValueError as error:  # jeepney's word for what is no D-Bus, refused logins included
        raise ManagerFault(
            f"{_shown(bus)} does not speak D-Bus with us: {error!r}",
            "look what listens there, or choose --backend rss to skip it",
        ) from error


def _shown(bus: Bus) -> str:
    return bus.address.replace("\0", "@")


class _Conversation:
    """One connection to a bus, bounded by one deadline."""

    def __init__(
        self, connection: socket.socket, deadline: float, clock: Callable[[], float]
    ) -> None:
        from jeepney import Parser

        self._connection = connection
        self._deadline = deadline
        self._clock = clock
        self._parser: Parser = Parser()

    def start(self, address: str, unit: str) -> None:
        """Connect, ask for the scope, and wait for the end of its job. Raises OSError."""
        from jeepney.auth import BEGIN, Authenticator

        self._limit()
        self._connection.connect(address)
        login = Authenticator(inc_null_byte=True)
        for line in login:
            self._send(line)
            login.feed(self._receive())
        requests = (_hello(), _match(unit), _start(unit))
        self._send(BEGIN + b"".join(m.serialise(serial=n) for n, m in enumerate(requests, 1)))
        self._await(unit)

    def _await(self, unit: str) -> None:
        """Read until the job of `unit` is over. Raises ManagerFault when it failed."""
        from jeepney import HeaderFields, MessageType

        job, results = "", dict[str, str]()
        while not job or job not in results:
            message = self._next()
            fields = message.header.fields
            answered = fields.get(HeaderFields.reply_serial)
            kind = message.header.message_type
            if kind is MessageType.error and answered in (_HELLO, _MATCH, _START):
                raise _refused(fields.get(HeaderFields.error_name), message.body)
            if kind is MessageType.method_return and answered == _START:
                (job,) = message.body
            if kind is MessageType.signal and fields.get(HeaderFields.member) == "JobRemoved":
                _, path, _, result = message.body
                results[path] = result
        if results[job] != "done":
            raise ManagerFault(
                f"systemd made no scope {unit}: its job ended with {results[job]!r}",
                f"journalctl -u {unit} (--user when not root) tells why",
            )

    def _next(self) -> Message:
        """Read one message. Raises ValueError for what is none."""
        while True:
            try:
                message = self._parser.get_next_message()
            except (LookupError, TypeError, struct.error) as error:  # jeepney checks nothing
                raise ValueError("what it said is no message") from error
            if message is not None:
                return message
            self._parser.add_data(self._receive())

    def _send(self, data: bytes) -> None:
        self._limit()
        self._connection.sendall(data)

    def _receive(self) -> bytes:
        self._limit()
        data = self._connection.recv(_READ_BYTES)
        if not data:
            raise ConnectionResetError("it hung up")
        return data

    def _limit(self) -> None:
        """Let the next operation take what is left of the time. Raises TimeoutError."""
        left = self._deadline - self._clock()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)


def _hello() -> Message:
    from jeepney.bus_messages import message_bus

    return message_bus.Hello()


def _match(unit: str) -> Message:
    from jeepney.bus_messages import message_bus

    rule = f"type='signal',sender='{_NAME}',path='{_PATH}',interface='{_INTERFACE}'"
    return message_bus.AddMatch(f"{rule},member='JobRemoved',arg2='{unit}'")


def _start(unit: str) -> Message:
    from jeepney import DBusAddress, new_method_call

    manager = DBusAddress(_PATH, bus_name=_NAME, interface=_INTERFACE)
    properties = [
        ("Description", ("s", "Sentinel guards a command")),
        ("PIDs", ("au", [_own_number()])),
        # Its OOMPolicy is `continue` by that (systemd.service(5)): an OOM in a leaf is for us.
        ("Delegate", ("b", True)),
        ("CollectMode", ("s", "inactive-or-failed")),
    ]
    return new_method_call(
        manager, "StartTransientUnit", "ssa(sv)a(sa(sv))", (unit, "fail", properties, [])
    )


def _own_number() -> int:
    """Our pid as the manager knows it; 0, the sender, where our numbers are not its numbers."""
    try:
        initial = os.stat("/proc/self/ns/pid").st_ino == _INITIAL_PID_NAMESPACE
    except OSError:
        initial = False
    return os.getpid() if initial else 0


def _refused(name: object, body: tuple[object, ...]) -> ManagerFault:
    """An error that came back, as data: its words may be anything."""
    words = str(body[0]) if body else ""
    said = f"{str(name).rpartition('.')[2]}: {words}" if words else str(name)
    if "AccessDenied" in str(name) or "InteractiveAuthorizationRequired" in str(name):
        remedy = "run as root, or as a user with a manager of their own (loginctl enable-linger)"
    else:
        remedy = "systemctl status (--user when not root) tells whether systemd is there"
    return ManagerFault(f"systemd refused a scope: {said}", remedy)

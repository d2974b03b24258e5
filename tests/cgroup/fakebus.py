"""A message bus with a systemd manager on it, speaking real D-Bus on a unix socket.

It serves one client in a thread, in the way that it was told; what it was sent is kept.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from jeepney import (
    HeaderFields,
    Message,
    MessageType,
    Parser,
    new_error,
    new_method_return,
    new_signal,
)
from jeepney.wrappers import DBusAddress

JOB = "/org/freedesktop/systemd1/job/7"
MANAGER = DBusAddress("/org/freedesktop/systemd1", interface="org.freedesktop.systemd1.Manager")
SECONDS = 20


class Client:
    """The one connection, on the bus's side."""

    def __init__(self, connection: socket.socket) -> None:
        """`connection` was just accepted."""
        self._connection = connection
        self._parser = Parser()
        self._serial = 100
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    def log_in(self, answer: bytes = b"OK 0123456789abcdef0123456789abcdef\r\n") -> None:
        """Take the client's login up to BEGIN, answering each line; `answer` to who it is.

        The client may send all of it at once (D-Bus Specification, Authentication Protocol).
        """
        while (line := self._read_line()) != b"BEGIN":
            if line.startswith(b"NEGOTIATE"):
                self._connection.sendall(b"ERROR\r\n")
            else:
                self.raw(b"DATA\r\n" if line == b"AUTH EXTERNAL" else answer)
            if not answer.startswith(b"OK") and line != b"AUTH EXTERNAL":
                return

    def _read_line(self) -> bytes:
        line = b""
        while not line.endswith(b"\r\n"):
            byte = self._connection.recv(1)
            assert byte, "the client hung up"
            line += byte
        return line.removeprefix(b"\0").removesuffix(b"\r\n")

    def take(self, member: str) -> Message:
        """The next call, which must be `member`."""
        while (message := self._parser.get_next_message()) is None:
            data = self._connection.recv(4096)
            assert data, f"the client hung up before {member}"
            self._parser.add_data(data)
        assert message.header.message_type is MessageType.method_call
        assert message.header.fields[HeaderFields.member] == member
        self.asked.append((member, message.body))
        return message

    def answer(self, call: Message, signature: str | None = None, *body: object) -> None:
        """Return from `call`."""
        self._send(new_method_return(call, signature, body))

    def refuse(self, call: Message, name: str, *words: str) -> None:
        """Answer `call` with an error."""
        self._send(new_error(call, name, "s" * len(words) or None, words))

    def job_removed(self, unit: str, result: str = "done", job: str = JOB) -> None:
        """Tell that a job is over."""
        self._send(new_signal(MANAGER, "JobRemoved", "uoss", (7, job, unit, result)))

    def _send(self, message: Message) -> None:
        self._serial += 1
        self.raw(message.serialise(serial=self._serial))

    def greet(self) -> str:
        """Answer everything up to StartTransientUnit; the unit that is asked for."""
        self.answer(self.take("Hello"), "s", ":1.5")
        self.answer(self.take("AddMatch"))
        self._start = self.take("StartTransientUnit")
        return str(self._start.body[0])

    def start(self) -> None:
        """Answer StartTransientUnit with the job."""
        self.answer(self._start, "o", JOB)

    def refuse_start(self, name: str, *words: str) -> None:
        """Answer StartTransientUnit with an error."""
        self.refuse(self._start, name, *words)

    def raw(self, data: bytes) -> None:
        """Say anything, to whoever still listens."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._connection.sendall(data)

    def wait_for_hangup(self) -> None:
        """Say nothing until the client has had enough."""
        with suppress(ConnectionResetError):  # it left while there was more to read
            while self._connection.recv(4096):
                pass


@contextmanager
def serving(path: str, serve: Callable[[Client], None]) -> Iterator[list[Client]]:
    """Listen at `path` and let `serve` deal with the client; the client, once it has come."""
    clients: list[Client] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(SECONDS)
                clients.append(Client(connection))
                serve(clients[0])
        except BaseException as error:  # noqa: BLE001 - told by the thread that started it
            failures.append(error)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        listener.settimeout(SECONDS)
        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield clients
        finally:
            thread.join()
    assert not failures, failures

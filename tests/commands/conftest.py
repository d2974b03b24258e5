"""Runs that are played: a registry of a test's own, and sockets that answer as told."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from sentinel.control import claims, registry
from sentinel.control.registry import Entry
from sentinel.linux import runtime
from sentinel.linux.runtime import Place

LIMIT = 60.0

Answers = Mapping[str, str]


class Played:
    """A run that is registered and answers from a table; `events` ends when the run does."""

    def __init__(self, entry: Entry, answers: Answers) -> None:
        """Register it and listen."""
        self.entry = entry
        self.heard: list[str] = []
        self._answers = answers
        self.hello = '{"schema":1,"event":"hello"}\n'
        self.last = '{"event":"over","verdict":"stopped","exit_status":143}\n'
        self._over = threading.Event()
        self._registration = registry.register(entry)
        self._listener = socket.socket(socket.AF_UNIX)
        self._threads: list[threading.Thread] = []
        if entry.socket:
            self._listener.bind(entry.socket)
            self._listener.listen(16)
            self._start(self._listen)

    def _start(self, work: Callable[..., None], *given: object) -> None:
        thread = threading.Thread(target=work, args=given, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(BrokenPipeError):  # who asked may have left
            line = b""
            while not line.endswith(b"\n"):
                line += connection.recv(4096) or b"\n"
            self._answer(connection, line.decode().rstrip("\n"))

    def _answer(self, connection: socket.socket, line: str) -> None:
        self.heard.append(line)
        if line == "events":
            connection.sendall(self.hello.encode())
            if self.hello.startswith("{"):
                self._over.wait(LIMIT)
                connection.sendall(self.last.encode())
        elif line in self._answers:
            connection.sendall(self._answers[line].encode())
        else:
            self._over.wait(LIMIT)  # as a guard that is stopped
        if line.split()[:1] in (["stop"], ["kill"]) and "error" not in self._answers[line]:
            self.end()

    def end(self) -> None:
        """Be over, with `last` to those who follow the events."""
        if not self._over.is_set():
            self._over.set()
            self._registration.close()

    def close(self) -> None:
        """End it, and all that it began."""
        self.end()
        if self.entry.socket and self._listener.fileno() >= 0:
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(LIMIT)


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Played]]:
    """Begin a run of a name with answers, in a registry that is empty otherwise."""
    places = (Place(str(tmp_path), "s", private=False),)
    monkeypatch.setattr(runtime, "places", lambda *_: places)
    monkeypatch.setattr(claims, "user_places", lambda *_: places)
    runtime.open_runtime_directory(places).close()
    monkeypatch.chdir(tmp_path)  # an address holds 107 bytes
    played: list[Played] = []

    def begin(name: str, answers: Answers | None = None, *, listens: bool = True) -> Played:
        boot, namespace = registry.whereabouts()
        entry = Entry(
            name=name,
            pid=os.getpid(),
            main=4711,
            uid=os.geteuid(),
            started=1000.0 + len(played),
            boot_id=boot,
            pid_namespace=namespace,
            socket=f"s/{name}.{len(played)}.sock" if listens else "",
            backend="rss",
            soft=200 << 20,
            hard=None,
            leaf="",
            command="python3",
        )
        played.append(Played(entry, answers or {}))
        return played[-1]

    yield begin
    for run in played:
        run.close()

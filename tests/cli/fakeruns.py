"""Runs that are only said to be: sockets that answer as a guard does, and remember."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sentinel.control import answers
from sentinel.control.entry import Entry, format_entry
from sentinel.model.outcome import Moment
from sentinel.model.status import RunStatus
from tests.cli.onboard import SEPARATOR
from tests.dashboard.boards import status

MIB = 1 << 20


class FakeRun:
    """A socket in the test's process. `silent`: it takes questions and never answers."""

    def __init__(self, directory: str, name: str, number: int) -> None:
        self.status: RunStatus = status(name, 100 * MIB)
        self.silent = False
        self.asked: list[str] = []
        self.questions = 0
        self.reply = "so be it"
        self._readers: list[socket.socket] = []
        self._held: list[socket.socket] = []
        self.path = os.path.join(directory, f"{number}.sock")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(64)
        self.entry = Entry(
            name=name,
            pid=1_000_000 + number,
            main=4242,
            uid=os.geteuid(),
            started=float(number),
            boot_id="boot",
            pid_namespace=1,
            socket=self.path,
            backend="cgroup",
            soft=200 * MIB,
            hard=None,
            leaf="",
            command="python3",
        )
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with suppress(OSError):
                self._answer(peer)

    def _answer(self, peer: socket.socket) -> None:
        peer.settimeout(30)
        line = peer.recv(4096).decode().strip()
        if line.startswith("status"):
            self.questions += 1
        if self.silent:
            self._held.append(peer)
        elif line == "events":
            peer.sendall(answers.hello_line(self.status).encode())
            self._readers.append(peer)
        else:
            peer.sendall(self._text(line).encode())
            peer.close()

    def _text(self, line: str) -> str:
        if line == "status json":
            return answers.dumped(answers.status_document(self.status, 1000))
        if line == "tree json":
            rows = [{"pid": 7, "parent": 1, "name": "\x1b[2Jmain", "state": "S", "rss": MIB}]
            return answers.dumped({"schema": 1, "processes": rows, "omitted": 0})
        self.asked.append(line)
        return f"{self.reply}\n"

    def tell(self, what: str, detail: str = "") -> None:
        """An event to whoever follows them."""
        line = answers.event_line(self.status, Moment(5.0, what, detail), (1.0, 2.0))
        self._send(line)

    def end(self, verdict: str) -> None:
        """The last event."""
        self._send(answers.dumped({"event": "over", "verdict": verdict, "at": 6.0}))

    def _send(self, line: str) -> None:
        for reader in self._readers:
            with suppress(OSError):
                reader.sendall(line.encode())

    def close(self) -> None:
        """Answer no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(30)
        for peer in (*self._readers, *self._held):
            peer.close()


class FakeRuns:
    """The runs that a dashboard is shown, in a file that it looks into."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self.list = os.path.join(directory, "list")
        self._runs: list[FakeRun] = []
        self._number = 0
        self._write(())

    def add(self, name: str) -> FakeRun:
        """Another run, the youngest."""
        self._number += 1
        run = FakeRun(self._directory, name, self._number)
        self._runs.append(run)
        self._write(self._runs)
        return run

    def remove(self, run: FakeRun) -> None:
        """A run that is live no more."""
        self._runs.remove(run)
        self._write(self._runs)
        run.close()

    def spoil(self) -> None:
        """Make the list one that nobody can read."""
        with open(self.list, "wb") as file:
            file.write(b"spoilt")

    def _write(self, runs: list[FakeRun] | tuple[()]) -> None:
        data = SEPARATOR.join(format_entry(run.entry) for run in runs)
        with open(self.list + ".new", "wb") as file:
            file.write(data)
        os.replace(self.list + ".new", self.list)

    def close(self) -> None:
        """End every run."""
        for run in self._runs:
            run.close()


@contextmanager
def fake_runs(directory: str) -> Iterator[FakeRuns]:
    """No runs yet."""
    runs = FakeRuns(directory)
    try:
        yield runs
    finally:
        runs.close()

"""One run's own socket, and its entry among the live runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sentinel.control.claims import register, whereabouts
from sentinel.control.desk import Attended
from sentinel.control.doors import claim
from sentinel.linux.runtime import Place, open_runtime_directory
from sentinel.linux.sockets import Listener
from sentinel.model.errors import SentinelError
from sentinel.model.spec import Observation

if TYPE_CHECKING:
    from sentinel.control.claims import Registration
    from sentinel.control.entry import Entry

OWN_MODE, SHARED_MODE = 0o600, 0o666
"""A path that others are allowed to use must let them connect; SO_PEERCRED decides then, too."""


class Doorway:
    """Where one run is found and spoken to. What fails is one warning; the run goes on."""

    def __init__(self, attended: Attended, places: Sequence[Place] = ()) -> None:
        """Nothing is opened yet."""
        self.attended = attended
        self.listener: Listener | None = None
        self._places = places
        self._registration: Registration | None = None

    @property
    def path(self) -> str:
        """The run's own socket; empty when it has none."""
        return "" if self.listener is None else self.listener.path

    def open(self, observation: Observation, warn: Callable[[str], None], now: float) -> None:
        """Bind the socket, write the entry."""
        if observation.socket:
            self._bind(observation, warn)
        try:
            self._registration = register(self._entry(now), self._places)
        except SentinelError as error:
            warn(f"sentinel ls will not know this run: {error}")

    def update(self, now: float) -> None:
        """Write the entry again: the limits have changed. Raises SentinelError."""
        if self._registration is not None:
            self._registration.update(self._entry(now))

    def close(self) -> None:
        """The run is over: nobody finds it any more."""
        if self.listener is not None:
            self.listener.remove()
            self.listener = None
        if self._registration is not None:
            self._registration.close()
            self._registration = None

    def _bind(self, observation: Observation, warn: Callable[[str], None]) -> None:
        """Listen where the user wants it, else in the runtime directory."""
        complaint = ""
        if observation.socket_path:
            wanted = os.path.abspath(observation.socket_path)
            mode = SHARED_MODE if observation.allow_uids else OWN_MODE
            complaint = self._listen(wanted, mode)
        if self.listener is None:
            try:
                otherwise = self._listen(self._usual_path(), OWN_MODE)
            except SentinelError as error:
                otherwise = str(error)
            if otherwise:
                warn(f"the run has no socket of its own: {complaint or otherwise}")
            elif complaint:
                warn(f"{complaint}; this run listens on {self.path}")

    def _listen(self, path: str, mode: int) -> str:
        """Take `path`; what is wrong with it, or empty."""
        try:
            found = claim(path, mode)
        except SentinelError as error:
            return str(error)
        if isinstance(found, Listener):
            self.listener = found
            return ""
        return f"{path} is {found.why}: left untouched"

    def _usual_path(self) -> str:
        directory = open_runtime_directory(self._places)
        directory.close()
        return os.path.join(directory.path, f"{self.attended.run.name}.{os.getpid()}.sock")

    def _entry(self, now: float) -> Entry:
        from sentinel.control.entry import Entry

        status = self.attended.status(now)
        boot, namespace = whereabouts()
        return Entry(
            name=status.name,
            pid=os.getpid(),
            main=status.pid,
            uid=os.geteuid(),
            started=status.started,
            boot_id=boot,
            pid_namespace=namespace,
            socket=self.path,
            backend=status.backend,
            soft=status.limits.soft,
            hard=status.limits.hard,
            leaf=status.leaf,
            command=status.command,
        )

"""One screen for guests that run side by side: whole lines, each under the name of its part.

A guest's output comes in pieces, and pytest names a test before it runs it: what is not a
whole line yet is held back, but not for ever, so that a test that hangs is on the screen.
"""

import threading
from collections.abc import Callable
from typing import BinaryIO

QUIET_SECONDS = 30.0
"""After so long a line that has begun is shown as far as it has come."""


class Screen:
    """Where the parts say what they have to say; `now` is a clock in seconds."""

    def __init__(self, stream: BinaryIO, width: int, now: Callable[[], float]) -> None:
        self.now = now
        self._began = now()
        self._stream = stream
        self._width = width
        self._lock = threading.Lock()
        self._voices: list[Voice] = []

    def voice(self, name: str) -> "Voice":
        """Return a stream for one part; a part may have several."""
        made = Voice(self, name)
        self._voices.append(made)
        return made

    def show_unfinished(self) -> None:
        """Show, once each, lines that began QUIET_SECONDS ago and have not ended."""
        for voice in self._voices:
            voice.show_unfinished()

    def line(self, name: str, line: bytes) -> None:
        """Show one line of a part, with the minutes and seconds since the beginning."""
        minutes, seconds = divmod(int(self.now() - self._began), 60)
        with self._lock:
            self._stream.write(f"{name:{self._width}} {minutes}:{seconds:02} ".encode())
            self._stream.write(line + b"\n")
            self._stream.flush()


class Voice:
    """A byte stream whose lines go to a screen."""

    def __init__(self, screen: Screen, name: str) -> None:
        self._screen = screen
        self._name = name
        self._lock = threading.Lock()
        self._rest = b""
        self._since: float | None = None

    def write(self, chunk: bytes) -> None:
        """Show the lines that are whole now and keep the rest."""
        with self._lock:
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            self._since = self._screen.now() if self._rest else None
            for line in lines:
                self._screen.line(self._name, line)

    def flush(self) -> None:
        """Do nothing: every line is flushed."""

    def say(self, text: str) -> None:
        """Show `text`, after what was still unfinished."""
        self.write((b"\n" if self._rest else b"") + text.encode() + b"\n")

    def show_unfinished(self) -> None:
        """Show the line that began long ago; it comes again, whole, when it has ended."""
        with self._lock:
            if self._since is not None and self._screen.now() - self._since >= QUIET_SECONDS:
                self._since = None
                self._screen.line(self._name, self._rest + b"... still running")

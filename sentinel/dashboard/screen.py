"""The screen of a terminal as something that is taken, drawn on, and given back as it was."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from contextlib import suppress

from rich.console import Console
from rich.text import Text

from sentinel.dashboard.board import Board, Size
from sentinel.dashboard.gauges import ASCII, UNICODE, Glyphs
from sentinel.dashboard.view import Picture
from sentinel.linux.terminal import GIVE_BACK, TAKE, Terminal, in_foreground, terminal_size


class HungUp(Exception):
    """The terminal is gone."""


class Screen:
    """Draws boards on `out`, a terminal; keys come from `terminal`."""

    def __init__(self, terminal: Terminal, out: int, encoding: str) -> None:
        """`encoding` is that of the terminal: without UTF-8 the picture keeps to ASCII."""
        self._terminal = terminal
        self._out = out
        self._encoding = encoding
        self._glyphs: Glyphs = UNICODE if encoding.lower().startswith("utf") else ASCII
        self._console = Console(file=io.StringIO(), force_terminal=True, legacy_windows=False)
        self._shown = b""
        self.taken = False

    @property
    def size(self) -> Size:
        """The present size."""
        return Size(*terminal_size(self._out))

    def take(self) -> bool:
        """Take the terminal; False while its job is in the background."""
        if not self.taken and self._terminal.take_keys():
            self.taken = True
            self._shown = b""
            self._write(TAKE)
        return self.taken

    def give_back(self) -> None:
        """Give the terminal back as it was found. Never raises for one that is gone."""
        if not self.taken:
            return
        self.taken = False
        with suppress(HungUp):
            if in_foreground(self._terminal.fd):
                self._write(GIVE_BACK)
        self._terminal.give_back()

    def lose(self) -> None:
        """Somebody else had the terminal meanwhile, and may have it still: it is taken anew."""
        self.taken = False

    def forget(self) -> None:
        """Draw everything anew the next time: somebody else may have written on the screen."""
        self._shown = b""

    def draw(self, board: Board, output: Sequence[Text] = ()) -> None:
        """Show `board`; writes nothing when that is on the screen already. Raises HungUp."""
        size = self.size
        self._console.size = size
        with self._console.capture() as captured:
            self._console.print(Picture(board, size, output, self._glyphs), end="")
        text = captured.get().rstrip("\n").replace("\n", "\r\n")
        frame = b"\x1b[H" + text.encode(self._encoding, "replace")
        if frame != self._shown:
            self._shown = frame
            self._write(frame)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._out, rest) :]
            except BlockingIOError:
                continue  # somebody made the terminal non-blocking; it takes more in a moment
            except OSError as error:
                raise HungUp from error

"""The terminal of a user: its size, its modes, and giving them back (termios(3), tty_ioctl(4))."""

from __future__ import annotations

import os
import termios
from contextlib import suppress

TAKE = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
"""Have a screen apart, without cursor and wrapping (xterm's control sequences)."""

GIVE_BACK = b"\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
"""Colours, wrapping, cursor and the screen as they were."""

_NO_LOCAL = termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN
_NO_INPUT = termios.ICRNL | termios.IXON
_LOCAL, _INPUT, _CHARACTERS = 3, 0, 6


def is_terminal(*fds: int) -> bool:
    """Whether all of `fds` are terminals."""
    return all(os.isatty(fd) for fd in fds)


def terminal_size(fd: int, fallback: tuple[int, int] = (80, 24)) -> tuple[int, int]:
    """Columns and rows; `fallback` where a terminal does not know or is none."""
    try:
        columns, rows = os.get_terminal_size(fd)
    except OSError:
        return fallback
    return columns or fallback[0], rows or fallback[1]


def in_foreground(fd: int) -> bool:
    """Whether this process may use the terminal `fd` now: its job is in the foreground."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False


class Terminal:
    """The modes of a terminal as they were found, and a way to read single keys meanwhile.

    Keys that raise signals come as bytes, too, and Ctrl-S holds nothing up. The output side is
    left as it is. Nothing is changed while the job is in the background.
    """

    def __init__(self, fd: int) -> None:
        """Remember the present modes of `fd`. Raises OSError when it is no terminal."""
        self.fd = fd
        try:
            self._found = termios.tcgetattr(fd)
        except termios.error as error:
            raise OSError(*error.args) from error
        self._changed = False

    def take_keys(self) -> bool:
        """Have keys come one by one, unechoed; False when the terminal is not ours now."""
        if not in_foreground(self.fd):
            return False
        modes = termios.tcgetattr(self.fd)
        modes[_INPUT] &= ~_NO_INPUT
        modes[_LOCAL] &= ~_NO_LOCAL
        modes[_CHARACTERS][termios.VMIN] = 1
        modes[_CHARACTERS][termios.VTIME] = 0
        termios.tcsetattr(self.fd, termios.TCSADRAIN, modes)
        self._changed = True
        return True

    def give_back(self) -> None:
        """Set the modes that were found; what was typed and not read is dropped."""
        if self._changed and in_foreground(self.fd):
            with suppress(termios.error):  # it hung up
                termios.tcsetattr(self.fd, termios.TCSAFLUSH, self._found)
        self._changed = False

    def insist(self) -> None:
        """Set the modes that were found although another process changed them."""
        self._changed = True
        self.give_back()


def read_keys(fd: int) -> bytes | None:
    """What was typed; None when the terminal has hung up."""
    try:
        return os.read(fd, 1024) or None
    except BlockingIOError:
        return b""
    except OSError:
        return None

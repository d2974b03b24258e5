"""Pseudo-terminals: a terminal of its own for a command (pty(7), tty_ioctl(4))."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from contextlib import suppress

_TIOCSIG = 0x40045436
"""Send a signal to the foreground group of the other side (drivers/tty/pty.c, pty_signal).

The same number on x86, ARM, RISC-V and s390.
"""

_OUTPUT, _LOCAL = 1, 3


class Pty:
    """Both ends of a pseudo-terminal, close-on-exec. `master` does not block.

    What is written at the other end arrives unchanged: no carriage returns are added, nothing
    is echoed. The slave stays open here too, so that the end of a process of the command's is
    no hang-up.
    """

    def __init__(self, columns: int, rows: int) -> None:
        """Open one of this size. Raises OSError where there are none left."""
        self.master, self.slave = os.openpty()
        os.set_blocking(self.master, False)
        modes = termios.tcgetattr(self.slave)
        modes[_OUTPUT] &= ~termios.ONLCR
        modes[_LOCAL] &= ~termios.ECHO
        termios.tcsetattr(self.slave, termios.TCSANOW, modes)
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        """Set the size; the foreground group is told by SIGWINCH when it is another."""
        with suppress(OSError):
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def signal(self, number: int) -> bool:
        """Have the kernel send INT, QUIT or TSTP to the foreground group, as a key would."""
        try:
            fcntl.ioctl(self.master, _TIOCSIG, number)
        except OSError:
            return False
        return True

    def read(self, size: int) -> bytes:
        """At most `size` bytes of what was written; empty when there is nothing now."""
        try:
            return os.read(self.master, size)
        except (BlockingIOError, OSError):
            return b""

    def lead_session(self) -> None:
        """Make this process the leader of a new session on it, with an empty standard input.

        Call it in a forked child: standard output and error become the slave's.
        """
        os.setsid()
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(self.slave, 1)
        os.dup2(self.slave, 2)
        self.close()

    def close(self) -> None:
        """Close both ends here; the last close of the master hangs up the session."""
        os.close(self.master)
        os.close(self.slave)

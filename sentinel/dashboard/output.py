"""What the dashboard of one command shows beside it: the command's output, read from its log."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.text import Text

from sentinel.dashboard.board import Board, Size
from sentinel.dashboard.layout import pane_size
from sentinel.dashboard.logfile import LOST, Follower
from sentinel.dashboard.pane import Pane
from sentinel.linux.pty import Pty

MOST_PIECES = 4
"""Reads for one picture: the end of a full piece of the log, what follows, and a little more."""

MOST_AT_ONCE = 32 << 10
"""Bytes of output taken for one picture; of what came on top only the newest is drawn."""


class Output:
    """Follows the log; the keeper at the other end of `fd` says when, and when it is over."""

    def __init__(self, pty: Pty, path: str, fd: int, size: Size) -> None:
        """`fd` brings a byte for news and its end for the end; `size` is the terminal's."""
        self._pty = pty
        self._path = path
        self._fd = fd
        self._is_whole = True
        self._follower = Follower(path, MOST_AT_ONCE)
        self._pane = Pane(pane_size(size))

    @property
    def fd(self) -> int:
        """Readable when there is something new, and when it is over."""
        return self._fd

    def serve(self) -> bool:
        """Take the word that there is news; False: it is over."""
        try:
            news = os.read(self._fd, 4096)
            self._is_whole = self._is_whole and LOST not in news
            return bool(news)
        except BlockingIOError:
            return True
        except OSError:
            return False

    def lines(self) -> Sequence[Text]:
        """The command's screen, with all that is in the log by now."""
        for _ in range(MOST_PIECES):
            if not (data := self._follower.read()):
                break
            self._pane.feed(data)
        return self._pane.lines()

    def fit(self, size: Size) -> None:
        """Give pane and pty the size that a terminal of `size` leaves them."""
        inner = pane_size(size)
        self._pane.resize(inner)
        self._pty.resize(*inner)

    def interrupt(self, number: int) -> None:
        """Have the command sent what the same key would have sent it without a dashboard."""
        self._pty.signal(number)

    def board(self, board: Board) -> Board:
        """Add the pane."""
        return board._replace(pane=self._path, whole=self._is_whole)

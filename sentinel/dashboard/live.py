"""The loop of a dashboard: keys, signals, answers and the clock come in, pictures go out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from rich.text import Text

from sentinel.dashboard.board import Board, Size
from sentinel.dashboard.choice import Choice, brief, press
from sentinel.dashboard.keys import Keyboard
from sentinel.dashboard.screen import HungUp, Screen
from sentinel.dashboard.watcher import Registry, Watcher
from sentinel.linux.loop import Loop
from sentinel.linux.process import signal_process
from sentinel.linux.signals import SignalDesk, is_stop
from sentinel.linux.terminal import Terminal, in_foreground, is_terminal, read_keys
from sentinel.model.signals import NUMBERS, SIGCONT

EVERY = 1.0
"""Seconds from one round of questions to the next."""

SOON = 0.2
"""Seconds between two looks for the one run that has just been started."""

LEAST_BETWEEN = 0.1
"""Seconds between two pictures at the least, however much happens."""

LONGEST_MESSAGE = 400
"""Characters of an answer that are shown: another user's program may send a page without end."""

ESCAPE_SECONDS = 0.1
"""How long the rest of a key's sequence may take."""

_QUIET = frozenset({NUMBERS["CHLD"], NUMBERS["WINCH"]})

DONE = 0


class Beside(Protocol):
    """What a dashboard shows beside the runs: the output of the command that it belongs to."""

    @property
    def fd(self) -> int:
        """Readable when there is something new, and when it is over."""

    def serve(self) -> bool:
        """Take what is new; False when it is over."""

    def lines(self) -> Sequence[Text]:
        """The newest lines."""

    def fit(self, size: Size) -> None:
        """The terminal has this size."""

    def interrupt(self, number: int) -> None:
        """A key asked for signal `number`, INT or QUIT."""

    def board(self, board: Board) -> Board:
        """`board` with what belongs to it."""


class Live:
    """A dashboard on a terminal."""

    def __init__(self, registry: Registry, keys: int, out: int, encoding: str) -> None:
        """`keys` and `out` are terminals. Raises OSError when `keys` is none."""
        terminal = Terminal(keys)
        self._keys = keys
        self._loop = Loop()
        self._desk = SignalDesk()
        self._screen = Screen(terminal, out, encoding)
        self._watcher = Watcher(self._loop, registry)
        self._keyboard = Keyboard()
        self._choice = Choice()
        self._beside: Beside | None = None
        self._everyone = False
        self._escape_at: float | None = None
        self._round_at = self._drawn_at = 0.0
        self._dirty = True
        self._status: int | None = None

    def run(self, beside: Beside | None = None, *, everyone: bool = False) -> int:
        """Show runs until told to end: 0, or minus the signal that ended it.

        The terminal is given back whatever happens, short of SIGKILL.
        """
        self._beside = beside
        self._everyone = everyone
        self._loop.watch(self._desk.fd, self._desk)
        if beside is not None:
            self._loop.watch(beside.fd, beside)
        try:
            while self._status is None:
                self._turn()
        except HungUp:
            self._status = -NUMBERS["HUP"]
        finally:
            self._screen.give_back()
            self._watcher.close()
            self._loop.close()
        self._desk.close(final=True)
        return self._status or DONE

    def _turn(self) -> None:
        ready = self._loop.wait(self._deadline())
        now = self._loop.now()
        if self._desk in ready:
            self._take_signals()
        if self._keyboard in ready:
            self._take_keys(now)
        if self._escape_at is not None and now >= self._escape_at:
            self._escape_at = None
            self._press_all(self._keyboard.rest())
        if self._beside is not None and self._beside in ready:
            self._loop.forget(self._beside.fd)  # until it is drawn: news come by the thousand
            if not self._beside.serve():
                self._status = DONE
        if self._status is not None:
            return
        self._dirty = bool(ready) or self._dirty
        self._watcher.serve(ready)
        self._watcher.expire()
        if now >= self._round_at:
            eager = self._beside is not None and not self._watcher.runs()
            self._round_at = now + (SOON if eager else EVERY)
            self._dirty = True
            self._watcher.round(self._choice)
        if self._dirty and now >= self._drawn_at + LEAST_BETWEEN:
            self._draw(now)

    def _deadline(self) -> float:
        times = [self._round_at, self._watcher.deadline, self._escape_at]
        if self._dirty:
            times.append(self._drawn_at + LEAST_BETWEEN)
        return min(time for time in times if time is not None)

    def _draw(self, now: float) -> None:
        self._dirty = False
        self._drawn_at = now
        if self._beside is not None:
            self._loop.watch(self._beside.fd, self._beside)
        if not in_foreground(self._keys):
            self._screen.lose()  # stopped and continued elsewhere: nothing of it is ours now
        if not self._screen.taken and not self._take_screen():
            return
        board = self._watcher.board(self._choice)._replace(everyone=self._everyone)
        output: Sequence[Text] = ()
        if self._beside is not None:
            self._beside.fit(self._screen.size)
            board = self._beside.board(board)
            output = self._beside.lines()
        self._screen.draw(board, output)

    def _take_screen(self) -> bool:
        """Take the terminal when it is this job's turn; in the background no key is touched."""
        if self._screen.take():
            self._loop.watch(self._keys, self._keyboard)
        else:
            self._loop.forget(self._keys)
        return self._screen.taken

    def _give_back(self) -> None:
        self._screen.give_back()
        self._loop.forget(self._keys)

    def _take_signals(self) -> None:
        for received in self._desk.read():
            self._dirty = True
            if is_stop(received):
                self._give_back()
                self._desk.stop_self(received.number)
            elif received.number == SIGCONT:
                self._screen.lose()
                self._loop.forget(self._keys)
            elif received.number not in _QUIET:
                self._status = -received.number

    def _take_keys(self, now: float) -> None:
        data = read_keys(self._keys)
        if data is None:
            self._loop.forget(self._keys)
            if in_foreground(self._keys) or not is_terminal(self._keys):
                self._status = -NUMBERS["HUP"]
            self._screen.lose()
            return
        keys = self._keyboard.feed(data)
        self._escape_at = now + ESCAPE_SECONDS if self._keyboard.unfinished else None
        self._press_all(keys)

    def _press_all(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._press(key)

    def _press(self, key: str) -> None:
        self._dirty = True
        if key == "suspend":
            # First: once the keeper has stopped, the terminal is the shell's.
            self._give_back()
            signal_process(0, NUMBERS["TSTP"])  # the job, as the terminal would have done
        elif key == "redraw":
            self._screen.forget()
        elif self._choice.question or self._choice.help:
            self._decide(key)
        elif key in ("interrupt", "quit signal") and self._beside is not None:
            name = "INT" if key == "interrupt" else "QUIT"
            self._beside.interrupt(NUMBERS[name])
            self._choice = self._choice._replace(message=f"SIG{name} sent to the command")
        elif key in ("q", "interrupt"):
            self._status = DONE
        else:
            self._decide(key)

    def _decide(self, key: str) -> None:
        before = self._choice.key
        self._choice, order = press(self._choice, key, self._watcher.runs())
        if self._choice.key != before:
            self._watcher.look(self._choice)
        if order is not None:
            self._watcher.order(order.address, order.line, self._told(order.name))

    def _told(self, name: str) -> Callable[[str], None]:
        def told(answer: str) -> None:
            said = answer.splitlines()[0][:LONGEST_MESSAGE]
            message = said if name in said else f"{brief(name)}: {said}"
            self._choice = self._choice._replace(message=message)
            self._round_at = 0.0

        return told

"""What a command with a dashboard needs before anything starts, and the three parts played on it.

Everything that can be refused is refused here, while the command can still be run plainly.
rich is loaded by the viewer alone.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from functools import partial

from sentinel.dashboard.board import Size
from sentinel.dashboard.layout import pane_size
from sentinel.dashboard.logfile import RunLog, directory, sweep
from sentinel.linux.clock import wall
from sentinel.linux.process import Child
from sentinel.linux.pty import Pty
from sentinel.linux.terminal import Terminal, in_foreground, is_terminal, terminal_size
from sentinel.model.errors import EXIT_SENTINEL, SentinelError
from sentinel.model.outcome import Exited

KEYS, SCREEN = 0, 1
DUMB = ("", "dumb", "unknown")
"""Values of TERM that promise nothing."""


class Stage:
    """The user's terminal, a pty, a log, and what connects the processes; not yet a process."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        """For the run `name`. Raises SentinelError where there can be no dashboard."""
        _check_terminal(environment)
        place = directory(environment)
        try:
            self.terminal = Terminal(KEYS)
            self.size = Size(*terminal_size(SCREEN))
            self.pty = Pty(*pane_size(self.size))
            self.heard, self.words = os.pipe2(os.O_CLOEXEC)
            self._bell, self._rung = socket.socketpair()
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise SentinelError(f"no pseudo-terminal: {why}", "run it plainly") from error
        self.log = RunLog(place, name, os.getpid())
        self._place = place

    def play_guard(self) -> int:
        """Be the process that guards: on the pty, with nothing of the others' left open.

        Returns the descriptor for what the guard has to say.
        """
        self._bell.close()
        self._rung.close()
        self.log.close()
        os.close(self.heard)
        self.pty.lead_session()
        return self.words

    def play_viewer(self, guard: int, encoding: str) -> int:
        """Be the dashboard of the run that process `guard` guards; an exit status."""
        from sentinel.dashboard.live import Live
        from sentinel.dashboard.output import Output
        from sentinel.dashboard.suspension import runs_of

        self._bell.close()
        self.log.close()
        os.close(self.heard)
        os.close(self.words)
        self._rung.setblocking(False)
        output = Output(self.pty, self.log.path, self._rung.fileno(), self.size)
        return Live(partial(runs_of, guard), KEYS, SCREEN, encoding).run(output)

    def play_keeper(
        self, guard: int, viewer: int, say: Callable[[str], None], pass_on: Callable[[bytes], None]
    ) -> int:
        """Keep the output until both processes have ended; the guard's status, see Keeper.

        A negative `viewer` could not be started.
        """
        from sentinel.dashboard.keeper import Callbacks, Household, Keeper

        self._rung.close()
        os.close(self.words)
        os.set_blocking(self.heard, False)
        self._bell.setblocking(False)
        watching = Child(viewer)
        if viewer < 0:
            watching.status = Exited(EXIT_SENTINEL)
        home = Household(Child(guard), watching, self.heard, self._bell.detach())
        keeper = Keeper(home, self.pty, self.log, self.terminal, Callbacks(say, pass_on))
        sweep(self._place, wall())
        return keeper.run()


def _check_terminal(environment: Mapping[str, str]) -> None:
    """Refuse what no dashboard can be shown on. Raises SentinelError."""
    if not is_terminal(KEYS, SCREEN):
        raise SentinelError(
            "standard input and output are not both a terminal", "see it elsewhere: sentinel top"
        )
    if environment.get("TERM", "") in DUMB:
        raise SentinelError(
            f"the terminal can do nothing: TERM is {environment.get('TERM', '')!r}", "set TERM"
        )
    if not in_foreground(KEYS):
        raise SentinelError("the job is in the background", "start it without &")

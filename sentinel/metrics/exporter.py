"""The exporter: one process that serves all live runs of its user, on one event loop.

It lives outside every leaf, sleeps while nobody scrapes, and ends when no run that asked for
metrics has been connected for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from collections.abc import Callable, Sequence

from sentinel.linux.clock import monotonic, wall
from sentinel.linux.daemon import become_background
from sentinel.metrics.collector import Page, page
from sentinel.metrics.families import EXPORTER
from sentinel.metrics.http import LONGEST_HEAD
from sentinel.metrics.inquiry import Inquirer
from sentinel.metrics.onrequest import Extras, extras
from sentinel.metrics.past import PastRuns
from sentinel.metrics.seat import Seat, leave
from sentinel.metrics.server import Server
from sentinel.metrics.subject import Subject
from sentinel.metrics.survey import Moment, Surveyor, View
from sentinel.model.errors import SentinelError

FIRST_GUEST = 30.0
"""Seconds at least that the run which started it has to come to the door."""
SETTLING = 0.1
"""Seconds in which whoever was let in last, and is not counted yet, comes to be."""
LONGEST_WORD = 256
"""Bytes of a line that a run may say at the door."""


class Exporter:
    """Serves one seat until nobody needs it."""

    def __init__(
        self,
        live: Callable[[], Sequence[Subject]],
        clock: Callable[[], Moment],
        past: PastRuns,
        linger: float,
    ) -> None:
        """`live` tells which runs there are; `linger`: seconds after the last that asked."""
        self._live = live
        self._clock = clock
        self._past = past
        self._linger = linger
        self._surveyor = Surveyor(past.read)
        self._inquirer = Inquirer()
        self._door: socket.socket | None = None
        self._guests = 0
        self._leaving: asyncio.TimerHandle | None = None
        self._over = asyncio.Event()
        self._looks: dict[frozenset[str], asyncio.Task[list[View]]] = {}

    async def serve(self, seat: Seat) -> None:
        """Serve until it is time to leave; the seat is given up."""
        listener, door = socket.socket(fileno=seat.listener), socket.socket(fileno=seat.door)
        for sock in (listener, door):
            sock.setblocking(False)
        served = await asyncio.start_server(
            Server(self._scrape).serve, sock=listener, limit=LONGEST_HEAD
        )
        attended = await asyncio.start_unix_server(self._attend, sock=door, limit=LONGEST_WORD)
        self._door = door
        self._await_guests(max(self._linger, FIRST_GUEST))
        try:
            await self._over.wait()
        finally:
            served.close()
            attended.close()
            await self._inquirer.close()
            with contextlib.suppress(OSError, SentinelError):
                self._past.read()
            leave(seat)

    def _await_guests(self, seconds: float) -> None:
        """Leave after a while, unless a run comes."""
        loop = asyncio.get_running_loop()
        self._leaving = loop.call_later(seconds, self._leave, False)

    def _leave(self, settled: bool) -> None:  # noqa: FBT001 - called back by the loop
        """Go, if nobody is there, nobody knocks, and nobody was just let in."""
        loop = asyncio.get_running_loop()
        if self._guests:
            return
        if not settled or _knocked(self._door):
            self._leaving = loop.call_later(SETTLING, self._leave, True)
        else:
            self._over.set()

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A run is here until its connection ends; it may say for how long to stay after it."""
        self._guests += 1
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        try:
            while line := await reader.readline():
                word, _, value = line.decode("ascii", "replace").partition(" ")
                if word == "linger":
                    self._linger = float(value)
        except (OSError, ValueError):
            pass
        finally:
            writer.transport.abort()
            self._guests -= 1
            if not self._guests:
                self._await_guests(self._linger)

    async def _scrape(self, wanted: frozenset[str], accept: str) -> Page:
        """A page; scrapers that come while a look is under way share it."""
        if wanted not in self._looks:
            self._looks[wanted] = asyncio.create_task(self._look(wanted))
        return page(await asyncio.shield(self._looks[wanted]), accept)

    async def _look(self, wanted: frozenset[str]) -> list[View]:
        try:
            subjects = self._live()
            # netlink's library brings an event loop of its own, which wants a thread of its own.
            more = await asyncio.to_thread(extras, wanted) if wanted else Extras()
            answers = await self._inquirer.ask({s.socket for s in subjects if s.socket})
            return self._surveyor.look(subjects, answers, self._clock(), more)
        finally:
            del self._looks[wanted]


def _knocked(door: socket.socket | None) -> bool:
    """Whether somebody waits to be let in."""
    return door is not None and bool(select.select([door], [], [], 0)[0])


def run(live: Callable[[], Sequence[Subject]], seat: Seat, linger: float) -> None:
    """Be the exporter of `seat` until nobody needs one; see `Exporter`."""
    become_background(EXPORTER)
    exporter = Exporter(live, lambda: Moment(monotonic(), wall()), PastRuns(), linger)
    asyncio.run(exporter.serve(seat))

"""What is known of the live runs: who they are, their last answers, their history and events.

Everybody is asked at once and nobody is waited for: a run that does not answer is shown with
its last answer, and a run that is gone stays for a while with how it ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sentinel.control.entry import Entry
from sentinel.dashboard import decode
from sentinel.dashboard.asker import Address, Asker, Talk
from sentinel.dashboard.board import Board, Estimate, Happened, Process, Sample, Watched
from sentinel.dashboard.choice import Choice, index
from sentinel.linux.loop import Loop
from sentinel.model.status import RunStatus

PATIENCE = 0.9
"""Seconds that an answer may take: a bit less than the time between two questions."""

REMEMBERED = 300
"""Samples kept of a run, which is five minutes."""

EVENTS = 50
STREAMS = 64
"""Runs whose events are followed from the start; of the others, those that were selected."""

FAREWELL = 5.0
"""Seconds that a run which has ended stays in the table."""

Registry = Callable[[], Sequence[Entry]]


class Known:
    """One run, and the last that was heard of it."""

    def __init__(self, entry: Entry) -> None:
        """A run that was just found."""
        self.entry = entry
        self.status: RunStatus | None = None
        self.used: int | None = None
        self._estimate = Estimate()
        self.history: deque[Sample] = deque(maxlen=REMEMBERED)
        self.events: deque[Happened] = deque(maxlen=EVENTS)
        self.why_silent = "" if entry.socket else "it was started with --no-socket"
        self.ended = ""
        self.gone_at: float | None = None
        self.asked = False
        self.stream: Talk | None = None

    @property
    def address(self) -> Address:
        """Where it is asked."""
        return Address(self.entry.socket, self.entry.uid)

    def take(self, text: str, why: str) -> None:
        """The answer to `status json`, or why there is none."""
        self.asked = False
        answer = decode.table(text)
        status = decode.status(answer)
        self.why_silent = ""
        if status is None:
            self.why_silent = why or decode.refusal(answer) or "its answer is no status"
            return
        self.status = status
        self.used = self._estimate.take(status)
        fresh = not self.history or self.history[-1].at < status.elapsed
        # What falls from an upper bound to the first survey is no shrinking.
        if self.used is not None and fresh and not self._estimate.is_bound:
            self.history.append(Sample(status.elapsed, self.used))

    def hear(self, line: str) -> None:
        """A line of its events."""
        document = decode.table(line)
        event = decode.happened(document)
        if event is not None:
            self.events.append(event)
        self.ended = decode.verdict(document) or self.ended

    def seen(self) -> Watched:
        """What the view shows of it."""
        entry = self.entry
        return Watched(
            key(entry),
            entry.name,
            entry.main,
            entry.uid,
            entry.socket,
            self.status,
            self.used,
            tuple(self.history),
            tuple(self.events),
            self.why_silent,
            self.ended,
        )


def key(entry: Entry) -> str:
    """What tells a run from all others, those of other pid namespaces and boots too."""
    return f"{entry.boot_id}/{entry.pid_namespace}/{entry.pid}/{entry.started}"


class Tree(NamedTuple):
    """The processes of the run with this key."""

    key: str = ""
    processes: tuple[Process, ...] = ()
    omitted: int = 0


class Watcher:
    """Follows the runs that `registry` tells of."""

    def __init__(self, loop: Loop, registry: Registry, *, follow: bool = True) -> None:
        """Nothing is asked before the first `round`. `follow`: events and processes too."""
        self._follow = follow
        self._loop = loop
        self._registry = registry
        self._asker = Asker(loop, PATIENCE)
        self._known: dict[str, Known] = {}
        self._tree = Tree()
        self._tree_asked = False

    def round(self, choice: Choice) -> None:
        """Look who is live and ask everybody for the status, the selected one for its processes."""
        now = self._loop.now()
        try:
            entries = {key(entry): entry for entry in self._registry()}
        except OSError:  # no descriptor is free at the moment: the next round looks again
            return
        for name, entry in entries.items():
            self._known.setdefault(name, Known(entry)).entry = entry
        for name, known in list(self._known.items()):
            if name in entries:
                self._ask(known, selected=name == choice.key)
            else:
                self._see_off(name, known, now)
        if self._follow:
            self.look(choice)

    def _ask(self, known: Known, *, selected: bool) -> None:
        if not known.entry.socket:
            return
        wanted = selected or self._streams() < STREAMS
        if self._follow and known.stream is None and wanted:
            known.stream = self._asker.listen(
                known.address, "events", known.hear, lambda: self._silence(known)
            )
        if not known.asked:
            known.asked = True
            self._asker.ask(known.address, "status json", known.take)

    def _streams(self) -> int:
        return sum(known.stream is not None for known in self._known.values())

    def _silence(self, known: Known) -> None:
        known.stream = None

    def _see_off(self, name: str, known: Known, now: float) -> None:
        """A run that is no longer live; its last words may still be on their way."""
        known.gone_at = now if known.gone_at is None else known.gone_at
        if not known.ended and known.stream is None:
            known.ended = "ended"
        if now - known.gone_at >= FAREWELL:
            if known.stream is not None:
                self._asker.drop(known.stream)
            del self._known[name]

    def look(self, choice: Choice) -> None:
        """Ask the selected run for its processes, unless a run is being asked for them already."""
        runs = self.runs()
        if not runs or self._tree_asked:
            return
        chosen = runs[index(choice, runs)]
        if chosen.ended or not chosen.socket:
            return
        self._tree_asked = True

        def answered(text: str, why: str) -> None:
            del why
            self._tree_asked = False
            processes, omitted = decode.processes(decode.table(text))
            if processes or self._tree.key != chosen.key:
                self._tree = Tree(chosen.key, processes, omitted)

        self._asker.ask(Address(chosen.socket, chosen.uid), "tree json", answered)

    def order(self, address: Address, line: str, told: Callable[[str], None]) -> None:
        """Ask a run for something; `told` gets its answer, or why there is none."""
        self._asker.ask(address, line, lambda text, why: told(text or why))

    def serve(self, ready: set[object]) -> bool:
        """Take what has come; whether events brought something to show at once."""
        return self._asker.serve(ready)

    def expire(self) -> None:
        """Give up on who did not answer in time."""
        self._asker.expire(self._loop.now())

    @property
    def deadline(self) -> float | None:
        """When somebody runs out of time."""
        return self._asker.deadline

    @property
    def waiting(self) -> bool:
        """Whether answers are still to come."""
        return self._asker.deadline is not None

    def runs(self) -> tuple[Watched, ...]:
        """All runs: the live ones by their start, then those that have just ended."""
        ordered = sorted(
            self._known.values(), key=lambda known: (bool(known.ended), known.entry.started)
        )
        return tuple(known.seen() for known in ordered)

    def board(self, choice: Choice) -> Board:
        """What is to be shown for `choice`."""
        runs = self.runs()
        at = index(choice, runs)
        tree = self._tree if runs and runs[at].key == self._tree.key else Tree()
        return Board(
            runs=runs,
            selected=at,
            processes=tree.processes,
            omitted=tree.omitted,
            question=choice.question,
            message=choice.message,
            help=choice.help,
        )

    def close(self) -> None:
        """Close every connection."""
        self._asker.close()

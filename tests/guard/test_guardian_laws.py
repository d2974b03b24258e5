"""The laws of a run over any sequence of happenings and refusals; no processes, no clock."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sentinel.enclosure import Look
from sentinel.guard.guardian import Guardian, Launch
from sentinel.linux.process import Child, ChildReport
from sentinel.linux.signals import Received
from sentinel.model.errors import KernelFileError
from sentinel.model.events import Event, Happening
from sentinel.model.outcome import Exited, Ledger, Signalled, Survivor
from sentinel.model.snapshot import Reading
from tests.contract.fake import Unobserved
from tests.guard.run import spec_of

ACTIONS = ("look", "set_wire", "ask", "kill", "close")
NEWS = (Happening.SOFT_CROSSED, Happening.SOFT_CLEARED, Happening.HARD_CROSSED, Happening.DEGRADED)
MAIN = 1 << 30


class Imagined(Unobserved):
    """An enclosure without processes: it tells what it was told to tell, and may refuse."""

    backend = "imagined"
    where = ""
    unenforced: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.news: tuple[Event, ...] = ()
        self.refusing: frozenset[str] = frozenset()
        self.empty = False
        self.closed = 0
        self.log: list[str] = []

    def _do(self, action: str, note: str = "") -> None:
        assert not self.closed, f"{action} after the end"
        if action in self.refusing:
            raise KernelFileError("write", f"/imagined/{action}", 5)
        self.log.append(note or action)

    def enter(self) -> None:
        """Nothing to enter."""

    def adopt(self, *_: object) -> None:
        """Nothing to watch."""

    def look(self, now: float) -> Look:
        """The news, once."""
        self._do("look")
        news, self.news = self.news, ()
        return Look(news, now + 0.5)

    def set_wire(self, *, armed: bool, now: float) -> None:
        """Noted."""
        del now
        self._do("set_wire", "arm" if armed else "lift")

    def ask(self, _signal: int, *, main_only: bool) -> int:
        """Noted."""
        del main_only
        self._do("ask")
        return 1

    def kill(self) -> int:
        """Noted."""
        self._do("kill")
        return 1

    def is_empty(self) -> bool:
        """As the sequence says."""
        assert not self.closed
        return self.empty

    def reaped(self, _pid: int) -> None:
        """Nothing to forget."""
        assert not self.closed

    def survivors(self) -> tuple[Survivor, ...]:
        """Nobody."""
        return ()

    def close(self) -> Ledger:
        """Once, whether it is refused or not."""
        refused = "close" in self.refusing
        if not refused:
            self._do("close")
        self.closed += 1
        assert self.closed == 1
        if refused:
            raise KernelFileError("read", "/imagined/close", 5)
        return Ledger()


class ImaginedChild(Child):
    """A main process that no signal reaches."""

    def send(self, number: int) -> bool:
        """As a real one answers."""
        del number
        return self.status is None


STEPS = st.one_of(
    st.tuples(st.just("news"), st.sampled_from(NEWS)),
    st.tuples(st.just("pass"), st.sampled_from([0.0, 0.01, 0.5, 1.0, 3.0, 7.0])),
    st.tuples(st.just("end"), st.sampled_from([Exited(0), Signalled(9), Signalled(15)])),
    st.tuples(st.just("empty"), st.booleans()),
    st.tuples(st.just("signal"), st.sampled_from([2, 10, 15])),
    st.tuples(st.just("key"), st.sampled_from([2, 3])),
    st.tuples(st.just("refuse"), st.frozensets(st.sampled_from(ACTIONS))),
)
PLANS = st.fixed_dictionaries(
    {
        "grace": st.sampled_from([0.0, 1.0]),
        "patience": st.sampled_from([0.0, 2.0]),
        "timeout": st.sampled_from([None, 5.0]),
        "main_only": st.booleans(),
    }
)


class Walk:
    """A guardian led through a sequence."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.enclosure = Imagined()
        self.now = 100.0
        self.child = ImaginedChild(MAIN)
        self.guardian = Guardian(
            Launch(spec_of("x", **plan), self.enclosure),
            None,  # type: ignore[arg-type]  # an imagined enclosure watches nothing
            lambda *_: None,
        )
        self.guardian.start(lambda *_: self.child, lambda: self.now)

    def advance(self, seconds: float) -> None:
        """Let time pass, turning at each deadline on the way."""
        until, turns = self.now + seconds, 0
        while (due := self.guardian.deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.guardian.turn(self.now, set())
            turns += 1
            assert turns < 1000, "a deadline that is never met"
        self.now = until

    def step(self, kind: str, what: Any) -> None:
        """Let one thing happen."""
        if kind == "news":
            reading = Reading(self.now, 1, 1)
            self.enclosure.news += (Event(what, reading),)
            self.guardian.turn(self.now, {self.enclosure})
        elif kind == "pass":
            self.advance(what)
        elif kind == "end":
            if self.child.status is None:
                self.guardian.child_changed(ChildReport(MAIN, what))
                self.guardian.turn(self.now, set())
        elif kind == "empty":
            self.enclosure.empty = what
            self.guardian.turn(self.now, {self.enclosure})
        elif kind == "refuse":
            self.enclosure.refusing = what
        else:
            key = kind == "key"
            sender = (0, 0) if key else (1, 0)
            self.guardian.take(Received(what, *sender, by_kernel=key), self.now)


@given(PLANS, st.lists(STEPS, max_size=25))
def test_no_sequence_breaks_a_guardian(plan: dict[str, Any], steps: list[tuple[str, Any]]) -> None:
    """It never raises, a stop always has a deadline, a run that is over has none."""
    walk = Walk(plan)
    for kind, what in steps:
        walk.step(kind, what)
        if walk.guardian.done:
            assert walk.guardian.deadline() is None
            assert walk.enclosure.closed == 1
        elif walk.guardian.stopping:
            assert walk.guardian.deadline() is not None


@given(PLANS, st.lists(STEPS, max_size=25))
def test_whatever_happened_a_stop_ends(plan: dict[str, Any], steps: list[tuple[str, Any]]) -> None:
    """From anywhere, an OOM at the wall and the ten seconds of giving up lead to an outcome."""
    walk = Walk(plan)
    for kind, what in steps:
        walk.step(kind, what)
    walk.enclosure.refusing -= {"look"}
    walk.step("news", Happening.HARD_CROSSED)
    walk.advance(20.0)
    assert walk.guardian.outcome is not None


@given(PLANS, st.lists(STEPS, max_size=25))
def test_the_wire_is_lifted_before_anybody_is_asked_and_nobody_is_after_a_kill(
    plan: dict[str, Any], steps: list[tuple[str, Any]]
) -> None:
    """With an enclosure that obeys, in the order in which it was really told."""
    walk = Walk(plan)
    for kind, what in steps:
        if kind != "refuse":
            walk.step(kind, what)
    armed, killed = True, False
    for order in walk.enclosure.log:
        armed = {"arm": True, "lift": False}.get(order, armed)
        killed = killed or order == "kill"
        if order == "ask":
            assert not armed
            assert not killed

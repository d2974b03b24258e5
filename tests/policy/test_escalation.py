"""The laws of the stop, as properties over every sequence of happenings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.model.actions import Arm, Disarm, Do
from sentinel.model.events import Happening, Timer
from sentinel.model.outcome import Exited, Signalled, Verdict
from sentinel.policy import escalation
from sentinel.policy.escalation import STOPPING, TABLE, Escalation, State

H = Happening
SEQUENCES = st.lists(st.sampled_from(list(Happening)), max_size=30)
TIMER_OF = {
    H.TIMEOUT_ELAPSED: Timer.TIMEOUT,
    H.PATIENCE_ELAPSED: Timer.PATIENCE,
    H.GRACE_ELAPSED: Timer.GRACE,
    H.RETRY_ELAPSED: Timer.RETRY,
    H.GIVE_UP_ELAPSED: Timer.GIVE_UP,
}


class Walk:
    """A run of the table that keeps the books a guardian would: live timers, the wire."""

    def __init__(self) -> None:
        self.escalation = Escalation()
        self.live: set[Timer] = set()
        self.wire_armed = True
        self.log: list[Do] = []

    def feed(self, happening: Happening) -> None:
        """Take one step; the elapse of a timer that is not live cannot happen."""
        timer = TIMER_OF.get(happening)
        if timer is not None:
            if timer not in self.live:
                return
            self.live.remove(timer)
        for action in self.escalation.feed(happening):
            if isinstance(action, Arm):
                self.live.add(action.timer)
            elif isinstance(action, Disarm):
                self.live.discard(action.timer)
            else:
                self.log.append(action)
                if action in (Do.LIFT_WIRE, Do.ARM_WIRE):
                    self.wire_armed = action is Do.ARM_WIRE
                if action is Do.ASK_TO_STOP:
                    assert not self.wire_armed


def walk(*happenings: Happening) -> Walk:
    """Feed `happenings` to a new run."""
    run = Walk()
    for happening in happenings:
        run.feed(happening)
    return run


def test_the_table_is_total_and_written_down() -> None:
    """Each state answers each happening, in the changes or in the ignored set, never in both."""
    for state in State:
        changes, ignored = escalation.CHANGES[state], escalation.IGNORED[state]
        assert not ignored & changes.keys()
        assert ignored | changes.keys() == set(Happening)
        assert TABLE[state].keys() == set(Happening)


@given(SEQUENCES)
def test_the_wire_is_lifted_before_any_polite_signal(happenings: list[Happening]) -> None:
    """No path sends a polite signal while memory.high can brake its handler."""
    walk(*happenings)  # Walk asserts it at each ASK_TO_STOP


@given(SEQUENCES)
def test_no_polite_signal_follows_a_kill(happenings: list[Happening]) -> None:
    """Once KILL_ALL was ordered, nobody is asked any more."""
    log = walk(*happenings).log
    if Do.KILL_ALL in log:
        assert Do.ASK_TO_STOP not in log[log.index(Do.KILL_ALL) :]


@given(SEQUENCES)
def test_no_stopping_state_without_a_live_timer(happenings: list[Happening]) -> None:
    """Whatever happens, a stop that has begun will go on by itself."""
    run = Walk()
    for happening in happenings:
        run.feed(happening)
        if run.escalation.state in STOPPING:
            killing = run.escalation.state is State.KILLING
            assert run.live >= ({Timer.RETRY, Timer.GIVE_UP} if killing else {Timer.GRACE})


@given(SEQUENCES)
def test_the_wire_is_never_armed_again_once_somebody_was_asked(
    happenings: list[Happening],
) -> None:
    """The grace is at full speed to its end, whatever clears or fails meanwhile."""
    run = Walk()
    for happening in happenings:
        run.feed(happening)
        if Do.ASK_TO_STOP in run.log:
            assert not run.wire_armed


@given(SEQUENCES)
def test_every_run_ends_when_its_timers_elapse_and_it_is_stopped(
    happenings: list[Happening],
) -> None:
    """From anywhere, a kill request and the elapse of the live timers lead to DONE."""
    run = walk(*happenings)
    for happening in (H.STARTED, H.KILL_REQUESTED, H.GIVE_UP_ELAPSED):
        run.feed(happening)
    assert run.escalation.state is State.DONE


@given(SEQUENCES)
def test_finish_is_ordered_exactly_once_and_only_when_empty_or_given_up(
    happenings: list[Happening],
) -> None:
    """DONE is entered by an empty enclosure or by KILLING that gave up, and orders FINISH."""
    run = Walk()
    for happening in happenings:
        before = run.escalation.state
        run.feed(happening)
        if run.escalation.state is State.DONE and before is not State.DONE:
            gave_up = before is State.KILLING and happening is H.GIVE_UP_ELAPSED
            assert happening is H.EMPTIED or gave_up
    assert run.log.count(Do.FINISH) == (1 if run.escalation.state is State.DONE else 0)


@given(SEQUENCES)
def test_the_first_cause_stays_but_for_the_wall(happenings: list[Happening]) -> None:
    """A cause, once known, changes to hard-limit at the most."""
    run = Walk()
    first = None
    for happening in happenings:
        run.feed(happening)
        cause = run.escalation.cause
        if first is None:
            first = cause
        assert cause in (first, Verdict.HARD_LIMIT)


TERM, KILL = Signalled(15), Signalled(9)

VERDICTS = [
    ([H.STARTED, H.EMPTIED], Exited(0), Verdict.EXITED),
    ([H.STARTED, H.EMPTIED], Signalled(11), Verdict.SIGNALLED),
    ([H.STARTED, H.EMPTIED], KILL, Verdict.SIGNALLED),
    ([H.STARTED, H.MAIN_EXITED, H.EMPTIED], Exited(3), Verdict.EXITED),
    ([H.STARTED, H.MAIN_EXITED, H.GRACE_ELAPSED, H.EMPTIED], Exited(3), Verdict.EXITED),
    ([H.STARTED, H.MAIN_EXITED, H.HARD_CROSSED, H.EMPTIED], Exited(0), Verdict.EXITED),
    ([H.STARTED, H.SOFT_CROSSED, H.EMPTIED], Exited(0), Verdict.EXITED),
    (
        [H.STARTED, H.SOFT_CROSSED, H.PATIENCE_ELAPSED, H.EMPTIED],
        Exited(0),
        Verdict.SOFT_LIMIT,
    ),
    ([H.STARTED, H.SOFT_CROSSED, H.PATIENCE_ELAPSED, H.EMPTIED], TERM, Verdict.SOFT_LIMIT),
    # A SIGKILL that was not ours: in the grace, and with others killed after it.
    ([H.STARTED, H.SOFT_CROSSED, H.PATIENCE_ELAPSED, H.EMPTIED], KILL, Verdict.SOFT_LIMIT),
    (
        [H.STARTED, H.SOFT_CROSSED, H.PATIENCE_ELAPSED, H.MAIN_EXITED, H.GRACE_ELAPSED, H.EMPTIED],
        KILL,
        Verdict.SOFT_LIMIT,
    ),
    (
        [H.STARTED, H.SOFT_CROSSED, H.PATIENCE_ELAPSED, H.MAIN_EXITED, H.GRACE_ELAPSED, H.EMPTIED],
        TERM,
        Verdict.SOFT_LIMIT,
    ),
    (
        [H.STARTED, H.SOFT_CROSSED, H.PATIENCE_ELAPSED, H.GRACE_ELAPSED, H.EMPTIED],
        KILL,
        Verdict.SOFT_LIMIT_KILLED,
    ),
    (
        [H.STARTED, H.SOFT_CROSSED, H.PATIENCE_ELAPSED, H.GRACE_ELAPSED, H.EMPTIED],
        Exited(0),
        Verdict.SOFT_LIMIT,
    ),
    (
        [H.STARTED, H.SOFT_CROSSED, H.PATIENCE_ELAPSED, H.KILL_REQUESTED, H.EMPTIED],
        KILL,
        Verdict.SOFT_LIMIT_KILLED,
    ),
    ([H.STARTED, H.HARD_CROSSED, H.EMPTIED], KILL, Verdict.HARD_LIMIT),
    (
        [H.STARTED, H.SOFT_CROSSED, H.PATIENCE_ELAPSED, H.HARD_CROSSED, H.EMPTIED],
        KILL,
        Verdict.HARD_LIMIT,
    ),
    ([H.STARTED, H.TIMEOUT_ELAPSED, H.EMPTIED], TERM, Verdict.TIMEOUT),
    ([H.STARTED, H.TIMEOUT_ELAPSED, H.GRACE_ELAPSED, H.EMPTIED], KILL, Verdict.TIMEOUT_KILLED),
    (
        [H.STARTED, H.TIMEOUT_ELAPSED, H.SOFT_CROSSED, H.GRACE_ELAPSED, H.EMPTIED],
        KILL,
        Verdict.TIMEOUT_KILLED,
    ),
    ([H.STARTED, H.STOP_REQUESTED, H.EMPTIED], TERM, Verdict.STOPPED),
    ([H.STARTED, H.STOP_REQUESTED, H.GRACE_ELAPSED, H.EMPTIED], KILL, Verdict.KILLED),
    ([H.STARTED, H.KILL_REQUESTED, H.EMPTIED], KILL, Verdict.KILLED),
    (
        [H.STARTED, H.SOFT_CROSSED, H.PATIENCE_ELAPSED, H.GRACE_ELAPSED, H.GIVE_UP_ELAPSED],
        None,
        Verdict.SOFT_LIMIT_KILLED,
    ),
]


@pytest.mark.parametrize(("happenings", "status", "verdict"), VERDICTS)
def test_verdicts(
    happenings: list[Happening], status: Exited | Signalled | None, verdict: Verdict
) -> None:
    """Who is to blame follows from what happened first and how the main process ended."""
    run = walk(*happenings)
    assert run.escalation.state is State.DONE
    assert run.escalation.verdict(status) is verdict


@pytest.mark.parametrize(
    ("happenings", "expected"),
    [
        ([H.STARTED, H.HARD_CROSSED], False),
        ([H.STARTED, H.TIMEOUT_ELAPSED, H.HARD_CROSSED], True),
        ([H.STARTED, H.TIMEOUT_ELAPSED, H.MAIN_EXITED, H.HARD_CROSSED], False),
    ],
)
def test_the_wall_during_the_grace_is_told(happenings: list[Happening], *, expected: bool) -> None:
    """Running out of head-room while stopping is its own finding while the main process lives."""
    assert walk(*happenings).escalation.wall_in_grace is expected

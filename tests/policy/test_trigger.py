"""The trigger rule, reading by reading, with exact expectations."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.model.snapshot import Composition, Reading
from sentinel.model.spec import Count
from sentinel.policy.trigger import Finding, Trigger, Wire, slack

MIB = 1 << 20
LIMIT = 64 * MIB
SLACK = 256 << 10
"""Bytes for one CPU."""
OVER = LIMIT + SLACK
CEILING = LIMIT + int(LIMIT * 0.03) + SLACK
PLAINLY_OVER = LIMIT * 1.01 + SLACK
CLEARED = int(LIMIT * 0.97)

QUIET = Finding()


def look(again: float | None) -> Finding:
    """Nothing to say but when to look again."""
    return Finding(again=again)


class At(NamedTuple):
    """A moment: seconds, bytes of working set, of current (None: the same), of anon, an event."""

    at: float
    working_set: int
    current: int | None = None
    anon: int = 0
    fresh: bool = False
    tasks: int = 1
    non_file: int | None = None

    def reading(self) -> Reading:
        """The reading of this moment."""
        current = self.working_set if self.current is None else self.current
        beside = self.working_set if self.non_file is None else self.non_file
        parts = Composition(self.anon, max(0, current - beside), 0, 0, 0, 0)
        return Reading(self.at, current, self.working_set, self.anon, parts, self.tasks, beside)


def trigger(count: Count = Count.WORKINGSET, cpus: int = 1) -> Trigger:
    """A trigger at 64 MiB."""
    return Trigger(LIMIT, cpus, count)


def observe(rule: Trigger, *moments: At) -> list[Finding]:
    """What the rule says to each moment, without when things began."""
    said = [rule.observe(moment.reading(), fresh=moment.fresh) for moment in moments]
    return [finding._replace(first_event=None, first_over=None) for finding in said]


def alerted(count: Count = Count.WORKINGSET, at: float = 0.0) -> Trigger:
    """A trigger that an event has alerted at `at`, with nothing to see."""
    rule = trigger(count)
    observe(rule, At(at, 0, fresh=count is not Count.TOTAL))
    return rule


def lifted() -> Trigger:
    """A trigger on anon whose wire is lifted for the sake of shared memory, since 0.03."""
    rule = trigger(Count.ANON)
    for at in (0.0, 0.01, 0.02, 0.03):
        observe(rule, At(at, OVER, fresh=at == 0.0))
    return rule


@pytest.mark.parametrize(
    ("limit", "cpus", "tasks", "expected"),
    [
        (LIMIT, 1, 1, SLACK),
        (LIMIT, 8, 1, SLACK),
        (LIMIT, 1, 8, SLACK),
        (LIMIT, 4, 3, 3 * SLACK),
        (LIMIT, 4, 0, SLACK),
        (LIMIT, 64, 64, int(LIMIT * 0.02)),
        (MIB, 1, 1, int(MIB * 0.02)),
        (8192 * MIB, 64, 500, 64 * SLACK),
    ],
)
def test_slack(limit: int, cpus: int, tasks: int, expected: int) -> None:
    """A reading may be too high by 256 KiB for each CPU that can have run it, or 2 %."""
    assert slack(limit, cpus, tasks) == expected


def test_without_an_event_nothing_is_judged() -> None:
    """However much memory there is, a quiet rule stays quiet until the kernel counts."""
    rule = trigger()
    assert observe(rule, At(0, 10 * LIMIT), At(5, 10 * LIMIT)) == [QUIET, QUIET]
    assert rule.quiet


def test_the_intervals_of_an_alert_back_off_to_200_ms() -> None:
    """Far from the limit and not growing, readings come after 10 ms, then ever more rarely."""
    rule = trigger()
    said, at = [], 0.0
    for number in range(8):
        finding = observe(rule, At(at, MIB, LIMIT, fresh=number == 0))[0]
        said.append(finding.again)
        at += finding.again or 0.0
    assert said == [0.01, 0.02, 0.04, 0.08, 0.16, 0.2, 0.2, 0.2]


def test_near_the_limit_readings_come_every_10_ms_and_back_off_again_when_it_is_far() -> None:
    """From 97 % of the limit on, the rule looks as often as it can, and relaxes below."""
    rule = trigger()
    near, far = CLEARED + 1, CLEARED - MIB
    moments = [At(0, near, fresh=True), At(0.01, near), At(0.02, near), At(0.03, far)]
    assert observe(rule, *moments, At(0.05, far)) == [
        look(0.01),
        look(0.01),
        look(0.01),
        look(0.01),
        look(0.02),
    ]


def test_growth_brings_the_next_reading_forward_to_half_the_way() -> None:
    """Growing by 100 MiB/s with 40 MiB to go, half the way is 200 ms; with 4 MiB, 20 ms."""
    rule = trigger()
    moments = [At(0, 0, fresh=True), At(0.24, 24 * MIB), At(0.6, 60 * MIB)]
    first, second, third = observe(rule, *moments)
    assert first == look(0.01)
    assert second == look(0.02)  # half the way would be later: the back-off rules
    assert third.again == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([0, 0.0299], [False, False]),
        ([0, 0.030], [False, True]),
        ([0, 0.01, 0.02, 0.029], [False] * 4),
        ([0, 0.01, 0.02, 0.03], [False, False, False, True]),
        ([0, 5], [False, True]),
    ],
)
def test_the_working_set_must_be_over_for_30_ms(seconds: list[float], expected: list[bool]) -> None:
    """Over the limit and its slack on every reading for 30 ms is a crossing, earlier is none."""
    rule = trigger()
    said = observe(rule, *(At(at, OVER, fresh=at == 0) for at in seconds))
    assert [finding.crossed for finding in said] == expected


@pytest.mark.parametrize(
    ("working_set", "crossed"), [(OVER - 1, False), (OVER, True), (OVER + 1, True)]
)
def test_the_slack_is_part_of_the_limit(working_set: int, *, crossed: bool) -> None:
    """A working set counts as over from the limit plus the slack on, to the byte."""
    rule = trigger()
    said = observe(rule, At(0, working_set, fresh=True), At(0.03, working_set))
    assert said[-1].crossed is crossed


def test_threads_widen_the_slack() -> None:
    """What is over the limit for one thread may be the stock of four CPUs for four threads."""
    moments = [At(0, OVER, fresh=True, tasks=4), At(0.05, OVER, tasks=4)]
    assert not observe(trigger(cpus=4), *moments)[-1].crossed
    assert observe(trigger(cpus=1), *moments)[-1].crossed


def test_one_reading_below_begins_the_30_ms_again() -> None:
    """LRU counters jump for one reading: only an unbroken row counts."""
    rule = trigger()
    moments = [(0, OVER), (0.02, OVER), (0.025, OVER - 1), (0.04, OVER), (0.069, OVER)]
    said = observe(rule, *(At(at, size, fresh=at == 0) for at, size in moments))
    assert not any(finding.crossed for finding in said)
    assert observe(rule, At(0.0701, OVER))[0].crossed


@pytest.mark.parametrize(
    ("current", "last", "crossed"),
    [
        (CEILING, 0.3, False),
        (CEILING + 1, 0.199, False),
        (CEILING + 1, 0.200, True),
        (2 * LIMIT, 0.1, False),
    ],
)
def test_memory_that_only_looks_reclaimable_must_be_over_for_200_ms(
    current: int, last: float, *, crossed: bool
) -> None:
    """Pinned slab is over 3 % and slack for 200 ms although the working set seems small."""
    rule = trigger()
    times = [0.0, *(step / 100 for step in range(1, 40) if step / 100 < last), last]
    said = observe(rule, *(At(at, LIMIT // 2, current, fresh=at == 0) for at in times))
    assert said[-1].crossed is crossed
    assert not any(finding.crossed for finding in said[:-1])


def test_the_margin_of_the_second_clause_is_capped_at_8_mib() -> None:
    """At 8 GiB, 8 MiB and the slack over the limit are enough, not 3 %."""
    limit = 8192 * MIB
    for current, crossed in ((limit + 8 * MIB + SLACK, False), (limit + 8 * MIB + SLACK + 1, True)):
        rule = Trigger(limit, 1)
        said = observe(rule, At(0, MIB, current, fresh=True), At(0.2, MIB, current))
        assert said[-1].crossed is crossed


@pytest.mark.parametrize(
    ("non_file", "last", "crossed"),
    [(OVER - 1, 9.0, False), (OVER, 0.999, False), (OVER, 1.0, True)],
)
def test_slab_that_reclaim_does_not_take_in_a_second_is_pinned(
    non_file: int, last: float, *, crossed: bool
) -> None:
    """Little over and no working set, but nothing that reclaim takes either: a second tells."""
    rule = trigger()
    times = [0.0, *(step / 20 for step in range(1, 200) if step / 20 < last), last]
    said = observe(rule, *(At(at, MIB, OVER, fresh=True, non_file=non_file) for at in times))
    assert said[-1].crossed is crossed
    assert not any(finding.crossed for finding in said[:-1])


def test_a_second_of_page_cache_at_the_limit_is_nothing() -> None:
    """What is on the file lists never counts as pinned, however long it is over the limit."""
    rule = trigger()
    said = observe(rule, *(At(at / 20, MIB, OVER, fresh=True) for at in range(100)))
    assert not any(finding.crossed for finding in said)


def test_a_condition_that_holds_keeps_the_readings_at_10_ms() -> None:
    """Between the first reading over the ceiling and the crossing nothing is slept through."""
    rule = trigger()
    said = observe(rule, *(At(step / 100, MIB, 2 * LIMIT, fresh=step == 0) for step in range(20)))
    assert said == [look(0.01)] * 20


@pytest.mark.parametrize(
    ("count", "anon", "working_set", "current", "expected"),
    [
        (Count.WORKINGSET, 0, OVER, OVER, Finding(crossed=True, again=0.01)),
        (Count.WORKINGSET, OVER, MIB, OVER, None),
        (Count.ANON, OVER, OVER, OVER, Finding(crossed=True, again=0.01)),
        (Count.ANON, OVER, MIB, OVER, Finding(crossed=True, again=0.01)),
        (Count.ANON, MIB, OVER, OVER, Finding(wire=Wire.LIFT, again=0.01)),
        (Count.ANON, MIB, MIB, OVER, None),
    ],
)
def test_what_is_counted_decides(
    count: Count, anon: int, working_set: int, current: int, expected: Finding | None
) -> None:
    """Over in the counted part is a crossing; over in the rest lifts the wire; else nothing."""
    rule = trigger(count)
    said = observe(
        rule,
        At(0, working_set, current, anon, fresh=True),
        At(0.03, working_set, current, anon),
    )
    assert said[0].again == 0.01
    assert not said[0].crossed
    if expected is None:
        assert (said[1].crossed, said[1].wire) == (False, None)
    else:
        assert said[1] == expected


def test_total_is_the_kernels_own_word() -> None:
    """With --count total the first event is the crossing: it says that memory.current went over."""
    rule = trigger(Count.TOTAL)
    said = observe(rule, At(7, MIB, LIMIT - MIB, fresh=True))
    assert said == [Finding(crossed=True, again=0.01)]


def test_a_crossing_tells_when_it_began() -> None:
    """It quotes the event that woke the rule and the first reading of the unbroken row."""
    rule = trigger()
    observe(rule, At(1, MIB, LIMIT, fresh=True), At(1.01, OVER), At(1.02, MIB), At(1.2, OVER))
    said = rule.observe(At(1.24, OVER).reading(), fresh=True)
    assert (said.crossed, said.first_event, said.first_over) == (True, 1, 1.2)


def test_an_alert_ends_a_second_after_the_last_event() -> None:
    """New events prolong it; a second after the last one the rule waits to be woken."""
    rule = trigger()
    observe(rule, At(0, MIB, LIMIT, fresh=True), At(0.5, MIB, LIMIT, fresh=True))
    assert observe(rule, At(1.499, MIB))[0] == look(0.04)
    assert not rule.quiet
    assert observe(rule, At(1.5, MIB)) == [QUIET]
    assert rule.quiet


def test_an_alert_does_not_end_while_a_condition_is_being_timed() -> None:
    """A first reading over the limit is followed up even when the events have stopped."""
    rule = alerted()
    assert observe(rule, At(1.2, OVER), At(1.23, OVER)) == [
        look(0.01),
        Finding(crossed=True, again=0.01),
    ]


def test_a_new_alert_begins_from_nothing() -> None:
    """What was over in an alert that ended does not count for the next one."""
    rule = alerted()
    observe(rule, At(0.9, OVER), At(0.91, MIB), At(2, MIB))
    assert rule.quiet
    assert observe(rule, At(9, OVER, fresh=True))[0] == look(0.01)
    assert not observe(rule, At(9.029, OVER))[0].crossed
    assert observe(rule, At(9.031, OVER))[0].crossed


@pytest.mark.parametrize(
    "last",
    [
        At(9, OVER, fresh=True),
        At(9, MIB, CEILING + 1, fresh=True),
        At(9, MIB, LIMIT, non_file=OVER, fresh=True),
    ],
    ids=["over", "far over", "not shrunk"],
)
def test_what_was_timed_before_a_crossing_does_not_shorten_the_next(last: At) -> None:
    """Each of the three clauses begins anew after a crossing that was cleared."""
    rule = pressed(CEILING + 1)
    assert observe(rule, At(2, MIB))[0].cleared
    assert observe(rule, last)[0] == look(0.01)


def pressed(working_set: int = OVER, current: int | None = None) -> Trigger:
    """A rule that has crossed within the first second and is waiting for the memory to go down."""
    rule = alerted()
    for step in range(79, 101):
        if observe(rule, At(step / 100, working_set, current))[0].crossed:
            return rule
    raise AssertionError("it did not cross")


@pytest.mark.parametrize(("working_set", "cleared"), [(CLEARED, True), (CLEARED + 1, False)])
def test_a_crossing_is_cleared_3_percent_under_the_limit(
    working_set: int, *, cleared: bool
) -> None:
    """Just under the limit is not enough: the wire would be crossed again at once."""
    rule = pressed()
    said = observe(rule, At(2, working_set))[0]
    assert said.cleared is cleared
    assert rule.quiet is cleared


def test_a_crossing_by_pinned_memory_is_cleared_by_what_is_beside_the_files() -> None:
    """What did not show in the working set cannot show there that it is gone; nor can cache."""
    rule = pressed(MIB, CEILING + 1)
    assert not observe(rule, At(2, MIB, non_file=CLEARED + 1))[0].cleared
    assert observe(rule, At(2.1, MIB, 2 * LIMIT, non_file=CLEARED))[0].cleared


def test_a_cleared_rule_crosses_again() -> None:
    """After clearing, the next event begins a whole new judgement."""
    rule = pressed()
    observe(rule, At(2, MIB))
    assert observe(rule, At(3, OVER, fresh=True), At(3.031, OVER)) == [
        look(0.01),
        Finding(crossed=True, again=0.01),
    ]


def test_a_crossing_is_told_once() -> None:
    """While it lasts, further readings over the limit are no news."""
    rule = pressed()
    said = observe(rule, *(At(2 + step, 2 * OVER, fresh=True) for step in range(5)))
    assert not any(finding.crossed for finding in said)


@pytest.mark.parametrize("growth", [0, 4096, MIB])
def test_waiting_for_a_crossing_to_clear_backs_off_to_a_second(growth: int) -> None:
    """A leak under a long --for is not looked at a hundred times a second, growing or not."""
    rule = pressed()
    at, size, said = 1.01, OVER, []
    for _ in range(10):
        finding = observe(rule, At(at, size))[0]
        assert finding.again is not None
        said.append(finding.again)
        at += finding.again
        size += growth
    assert said == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0, 1.0]


def test_lifted_for_what_is_not_counted_the_rule_still_crosses() -> None:
    """With the wire lifted only readings can tell that anon went over, and they do."""
    rule = lifted()
    said = observe(
        rule, At(1, OVER, anon=OVER), At(1.01, OVER, anon=OVER), At(1.03, OVER, anon=OVER)
    )
    assert said == [look(0.01), look(0.01), Finding(crossed=True, again=0.01)]


def test_lifted_the_readings_back_off_to_a_second() -> None:
    """What is not counted may stay over for days; anon far below costs a reading per second."""
    rule = lifted()
    at, said = 0.04, []
    for _ in range(9):
        finding = observe(rule, At(at, OVER))[0]
        assert finding.again is not None
        said.append(finding.again)
        at += finding.again
    assert said == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0]


def test_lifted_growth_of_anon_brings_the_next_reading_forward() -> None:
    """At 60 MiB and 40 MiB/s there are 100 ms to go, so half of that."""
    rule = lifted()
    moments = [At(step / 2, OVER, anon=0) for step in range(1, 9)]
    observe(rule, *moments)
    assert observe(rule, At(5.5, OVER, anon=60 * MIB))[0].again == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("working_set", "anon", "current", "armed"),
    [
        (CLEARED, MIB, CLEARED, True),
        (CLEARED + 1, MIB, CLEARED + 1, False),
        (MIB, CLEARED + 1, CLEARED + 1, False),
        (MIB, MIB, LIMIT + MIB, True),
    ],
)
def test_the_wire_is_armed_again_when_everything_unreclaimable_is_3_percent_under(
    working_set: int, anon: int, current: int, *, armed: bool
) -> None:
    """Page cache that filled the room meanwhile does not keep the wire lifted."""
    rule = lifted()
    said = observe(rule, At(9, working_set, current, anon))[0]
    assert (said.wire is Wire.ARM) is armed
    assert rule.quiet is armed


def test_the_wire_stays_lifted_while_memory_is_pinned_that_is_no_page_cache() -> None:
    """Pinned slab is in neither the working set nor the cache: arming would brake it."""
    rule = lifted()
    said = observe(rule, At(9, MIB, 2 * LIMIT, MIB, non_file=LIMIT + 1))[0]
    assert said.wire is None
    assert observe(rule, At(10, MIB, 2 * LIMIT, MIB, non_file=LIMIT))[0].wire is Wire.ARM


READINGS = st.lists(
    st.tuples(
        st.sampled_from([0.001, 0.01, 0.02, 0.03, 0.1, 0.2, 1.1]),
        st.sampled_from([MIB, CLEARED, LIMIT, OVER, 2 * LIMIT]),
        st.sampled_from([MIB, LIMIT, CEILING, CEILING + 1, 2 * LIMIT]),
        st.booleans(),
    ),
    max_size=40,
)


def held(moments: list[At], over: list[bool], seconds: float) -> bool:
    """Whether `over` holds on every reading of the last `seconds`, up to the last one."""
    first = None
    for moment, is_over in zip(moments, over, strict=True):
        first = None if not is_over else moment.at if first is None else first
    return first is not None and moments[-1].at - first >= seconds


@given(READINGS)
def test_a_crossing_follows_from_the_readings_of_its_alert_and_from_nothing_else(
    steps: list[tuple[float, int, int, bool]],
) -> None:
    """Whatever happens, it crosses exactly when the two clauses say so of the alert's readings."""
    rule = trigger()
    alert: list[At] = []
    at = 0.0
    for gap, working_set, current, fresh in steps:
        at = round(at + gap, 6)
        was_quiet = rule.quiet
        moment = At(at, working_set, current, fresh=fresh)
        said = observe(rule, moment)[0]
        if was_quiet and not fresh:
            assert said == QUIET
            continue
        alert = [moment] if was_quiet else [*alert, moment]
        over = [past.working_set >= OVER for past in alert]
        pinned = [(past.current or 0) > CEILING for past in alert]
        plainly = len(over) > 1 and over[-2] and over[-1] and working_set >= PLAINLY_OVER
        expected = held(alert, over, 0.030) or held(alert, pinned, 0.200) or plainly
        assert said.crossed is expected
        if said.crossed:
            return
        assert (said.again is None) is rule.quiet


@given(READINGS, st.sampled_from(list(Count)))
def test_a_rule_that_is_not_quiet_always_knows_when_to_look_again(
    steps: list[tuple[float, int, int, bool]], count: Count
) -> None:
    """No phase can be entered in which nothing would ever look again, and none is too eager."""
    rule = trigger(count)
    at = 0.0
    for gap, working_set, current, fresh in steps:
        at = round(at + gap, 6)
        said = observe(rule, At(at, working_set, current, working_set // 2, fresh=fresh))[0]
        if rule.quiet:
            assert said.again is None
        else:
            assert said.again is not None
            assert 0.01 <= said.again <= 1.0


def test_two_readings_plainly_over_need_no_thirty_milliseconds() -> None:
    """1 % beyond the slack is beyond what any innocent reading showed: the second one decides."""
    rule = trigger()
    first = observe(rule, At(0.0, int(PLAINLY_OVER), LIMIT, fresh=True))[0]
    second = observe(rule, At(0.01, int(PLAINLY_OVER) + 1, LIMIT))[0]
    assert (first.crossed, second.crossed) == (False, True)


def test_who_is_sure_needs_no_second_reading() -> None:
    """Where nothing reclaims, one reading of mapped memory decides, and clears as any other."""
    trigger = Trigger(100 * MIB, 1)
    over = Reading(at=1.0, current=101 * MIB, working_set=101 * MIB)
    found = trigger.observe(over, fresh=True, sure=True)
    assert (found.crossed, found.first_event, found.first_over) == (True, 1.0, 1.0)
    under = Reading(at=2.0, current=90 * MIB, working_set=90 * MIB)
    assert trigger.observe(under, fresh=False).cleared

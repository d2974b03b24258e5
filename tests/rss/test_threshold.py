"""The rss backend's judgement: exact cases as a table, and the laws of its room as properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.model.spec import Count, Limits
from sentinel.rss.readings import Survey, Tally
from sentinel.rss.threshold import (
    DOUBT_FOR,
    FASTEST,
    LOOK_SHARE,
    RECHECK,
    RECHECK_NEAR,
    ROUTINE,
    ROUTINE_FIRST,
    SLACK,
    SLOWEST,
    SUDDEN,
    URGENT_SHARE,
    Finding,
    Threshold,
)

pytestmark = pytest.mark.pure

MIB = 1 << 20
LIMIT = 200 * MIB
OVER, UNDER = "over", "under"
BEGAN = 1000.0
"""What the clock shows at the start: nothing may depend on its zero."""
CHEAP = 0.00001
"""Seconds that a look at one process takes."""


def mebi(amount: float) -> int:
    """Bytes of `amount` MiB."""
    return int(amount * MIB)


def tally(at: float, anon: float, shared: float = 0, swap: float = 0, grown: float = 0) -> Tally:
    """A tally in MiB, `at` seconds after the start."""
    return Tally(BEGAN + at, mebi(anon), mebi(shared), mebi(swap), mebi(grown), processes=1)


def survey(
    seen: Tally, anon: float, cost: float = 0.001, doubt: float = 0, **parts: float
) -> Survey:
    """A survey in MiB over what `seen` saw; parts that are not given are 0."""
    names = ("file", "shmem", "lazy_free", "pinned", "swap")
    sizes = {name: int(parts.get(name, 0) * MIB) for name in names}
    pss = int(anon * MIB) + sizes["file"] + sizes["shmem"]
    return Survey(
        tally=seen, pss=pss, anon=int(anon * MIB), doubt=int(doubt * MIB), cost=cost, **sizes
    )


def threshold(hard: int | None = None, counted: Count = Count.WORKINGSET) -> Threshold:
    """A judge of 200 MiB."""
    return Threshold(Limits(LIMIT, hard, counted=counted))


def surveyed(judge: Threshold, seen: Tally, truth: Survey) -> Finding:
    """Let `judge` see a tally that makes it want a survey, and the survey."""
    assert judge.observe(seen, CHEAP).survey
    return judge.confirm(truth)


@pytest.mark.parametrize(
    ("counted", "anon", "parts", "verdict"),
    [
        (Count.WORKINGSET, 201, {}, OVER),
        (Count.WORKINGSET, 200, {}, UNDER),
        (Count.WORKINGSET, 100, {"file": 500}, UNDER),
        (Count.WORKINGSET, 100, {"file": 500, "pinned": 101}, OVER),
        (Count.WORKINGSET, 100, {"shmem": 101}, OVER),
        (Count.WORKINGSET, 100, {"swap": 101}, OVER),
        (Count.WORKINGSET, 300, {"lazy_free": 100}, UNDER),
        (Count.WORKINGSET, 300, {"lazy_free": 99}, OVER),
        (Count.ANON, 201, {}, OVER),
        (Count.ANON, 199, {"shmem": 500, "file": 500}, UNDER),
        (Count.ANON, 100, {"swap": 101}, OVER),
        (Count.ANON, 201, {"lazy_free": 100}, OVER),
        (Count.TOTAL, 100, {"file": 101}, OVER),
        (Count.TOTAL, 100, {"file": 100}, UNDER),
        (Count.TOTAL, 100, {"shmem": 60, "file": 41}, OVER),
    ],
)
def test_what_counts(counted: Count, anon: float, parts: dict[str, float], verdict: str) -> None:
    """Only what `--count` names is compared with the limit, and being at it is not over it."""
    judge = threshold(counted=counted)
    seen = tally(0, 400, 600, 200)
    assert surveyed(judge, seen, survey(seen, anon, **parts)).crossed is (verdict == OVER)


def test_no_survey_far_below_the_limit() -> None:
    """A run at half of its limit is not surveyed, until the first routine look at its truth."""
    judge = threshold()
    assert not judge.observe(tally(0, 100), CHEAP).survey
    assert not judge.observe(tally(ROUTINE_FIRST - 0.01, 100), CHEAP).survey
    assert judge.observe(tally(ROUTINE_FIRST, 100), CHEAP).survey


def test_survey_just_below_the_limit() -> None:
    """The kernel's counters may lag by 2 % of the limit: a survey is wanted that much earlier."""
    assert not threshold().observe(tally(0, 200 * (1 - SLACK) - 0.1), CHEAP).survey
    assert threshold().observe(tally(0, 200 * (1 - SLACK) + 0.1), CHEAP).survey


def test_crossed_once() -> None:
    """A crossing is told once, with the time of the survey that showed it first."""
    judge = threshold()
    seen = tally(3, 250)
    found = surveyed(judge, seen, survey(seen, 250))
    assert (found.crossed, found.walled, found.cleared, found.first_over) == (
        *(True, False, False),
        BEGAN + 3,
    )
    later = tally(4, 260)
    again = surveyed(judge, later, survey(later, 260))
    assert (again.crossed, again.cleared) == (False, False)


def test_cleared_at_three_percent_under() -> None:
    """A told crossing is taken back at 97 % of the limit, not at 97.1 %, and can come again."""
    judge = threshold()
    seen = tally(0, 250)
    surveyed(judge, seen, survey(seen, 250))
    above = tally(1, 250)
    assert not surveyed(judge, above, survey(above, 194.1)).cleared
    below = tally(2, 250)
    assert surveyed(judge, below, survey(below, 193.9)).cleared
    once_more = tally(20, 250)
    assert surveyed(judge, once_more, survey(once_more, 250)).crossed


def test_cleared_by_a_tally() -> None:
    """When even the sum of all RSS is 3 % under the limit, no survey is needed to say so."""
    judge = threshold()
    seen = tally(0, 250)
    surveyed(judge, seen, survey(seen, 250))
    finding = judge.observe(tally(0.01, 150), CHEAP)
    assert (finding.cleared, finding.survey) == (True, False)


def test_hard_limit() -> None:
    """The hard limit is a crossing of its own, also after the soft one was told."""
    judge = threshold(hard=300 * MIB)
    seen = tally(0, 250)
    assert not surveyed(judge, seen, survey(seen, 250)).walled
    more = tally(1, 301)
    found = surveyed(judge, more, survey(more, 301))
    assert (found.crossed, found.walled, found.first_over) == (False, True, BEGAN + 1)


def test_the_way_to_the_wall_is_watched_after_the_soft_limit() -> None:
    """A run under --for or in its grace goes on growing: its head-room is looked at as closely."""
    judge = threshold(hard=300 * MIB)
    seen = tally(0, 201)
    assert surveyed(judge, seen, survey(seen, 201)).crossed
    looks = [0.0]
    for _ in range(12):
        looks.append(looks[-1] + judge.observe(tally(looks[-1], 201), CHEAP).again)
    seconds = looks[-1] - looks[-2]
    near = judge.observe(tally(looks[-1], 290, grown=89), CHEAP)
    assert near.again == pytest.approx(10 / (89 / seconds) / 2)
    beyond = tally(looks[-1] + near.again, 301, grown=11)
    assert surveyed(judge, beyond, survey(beyond, 301)).walled


def test_hard_limit_is_about_the_working_set() -> None:
    """Like memory.max, the wall does not fall on file pages, even when they are counted."""
    judge = threshold(hard=300 * MIB, counted=Count.TOTAL)
    seen = tally(0, 100, 400)
    found = surveyed(judge, seen, survey(seen, 100, file=400))
    assert (found.crossed, found.walled) == (True, False)


def test_shared_memory_is_surveyed_rarely() -> None:
    """Ten workers that share 150 MiB are surveyed once a second, not at every look."""
    judge = threshold()
    surveys = 0
    now = 0.0
    while now < 10:
        seen = tally(now, 1500)
        finding = judge.observe(seen, 10 * CHEAP)
        if finding.survey:
            surveys += 1
            finding = judge.confirm(survey(seen, 150, cost=0.005))
            assert not finding.crossed
        now += finding.again
    assert 7 <= surveys <= 11


def test_dear_surveys_are_rarer() -> None:
    """A survey that takes 30 ms is not repeated for six seconds while nothing grows."""
    judge = threshold()
    seen = tally(0, 1500)
    surveyed(judge, seen, survey(seen, 150, cost=0.03))
    assert not judge.observe(tally(5.9, 1500), CHEAP).survey
    assert judge.observe(tally(6.0, 1500), CHEAP).survey


def test_false_alarms_are_paid_for() -> None:
    """Growth that turns out to be shared is surveyed at once, then as rarely as can be paid for."""
    judge = threshold()
    seen = tally(0, 1500)
    surveyed(judge, seen, survey(seen, 150, cost=0.01))
    forked = tally(0.01, 1650)
    surveyed(judge, forked, survey(forked, 150, cost=0.01))
    assert not judge.observe(tally(0.10, 1800), CHEAP).survey
    assert judge.observe(tally(0.11, 1800), CHEAP).survey


def test_growth_into_the_shared_gap_is_surveyed() -> None:
    """When something grew by the head-room that the last survey left, it is time for another."""
    judge = threshold()
    seen = tally(0, 1500)
    surveyed(judge, seen, survey(seen, 150))
    assert not judge.observe(tally(0.1, 1549, grown=49), CHEAP).survey
    assert judge.observe(tally(0.2, 1551, grown=2), CHEAP).survey


def test_shrinking_file_pages_hide_no_growth() -> None:
    """Anonymous growth is seen although the sum falls because file pages go."""
    judge = threshold()
    seen = tally(0, 150, 900)
    surveyed(judge, seen, survey(seen, 150, file=900))
    assert judge.observe(tally(0.1, 210, 300), CHEAP).survey


def test_copy_on_write_is_followed() -> None:
    """Memory that is copied on write moves no RSS; surveys that show its growth come closer."""
    judge = threshold()
    seen = tally(0, 1500)
    surveyed(judge, seen, survey(seen, 100))
    second = tally(RECHECK, 1500)
    surveyed(judge, second, survey(second, 150))  # 50 MiB/s, and 50 MiB left: half of that is 0.5 s
    assert not judge.observe(tally(RECHECK + 0.49, 1500), CHEAP).survey
    assert judge.observe(tally(RECHECK + 0.51, 1500), CHEAP).survey


def test_near_the_limit_is_rechecked_soon() -> None:
    """Within 2 % of the limit, where a lagging tally matters, a survey is trusted for 250 ms."""
    judge = threshold()
    seen = tally(0, 199)
    surveyed(judge, seen, survey(seen, 199))
    assert not judge.observe(tally(RECHECK_NEAR - 0.01, 199), CHEAP).survey
    assert judge.observe(tally(RECHECK_NEAR, 199), CHEAP).survey


def test_doubtful_survey_is_not_believed() -> None:
    """What may have been charged twice shoots nobody, and is looked at again at once."""
    judge = threshold()
    seen = tally(0, 400)
    found = surveyed(judge, seen, survey(seen, 250, doubt=60))
    assert not found.crossed
    assert found.again == pytest.approx(0.001 * URGENT_SHARE)
    second = tally(0.02, 400)
    assert not surveyed(judge, second, survey(second, 150)).crossed


def test_doubt_ends() -> None:
    """A family that never keeps still is believed after 100 ms over the limit on every survey."""
    judge = threshold()
    now = 0.0
    seen = tally(now, 400)
    while not (finding := surveyed(judge, seen, survey(seen, 250, doubt=60))).crossed:
        now += max(finding.again, 0.011)
        seen = tally(now, 400)
    assert DOUBT_FOR < now < DOUBT_FOR + 0.02
    assert finding.first_over == BEGAN


def test_doubt_begins_anew_after_a_survey_under_the_limit() -> None:
    """Only an unbroken row of surveys is believed in spite of what moved under them."""
    judge = threshold()
    for at, anon in ((0, 250), (0.05, 150), (1.2, 250)):
        seen = tally(at, 400)
        assert not surveyed(judge, seen, survey(seen, anon, doubt=60)).crossed


def test_doubt_smaller_than_the_excess_does_not_matter() -> None:
    """A survey that is over the limit without what is in doubt is believed at once."""
    judge = threshold()
    seen = tally(0, 400)
    assert surveyed(judge, seen, survey(seen, 250, doubt=49)).crossed


def test_first_looks_are_close() -> None:
    """A run that just began is looked at after 5 ms, and then at most twice as late each time."""
    judge = threshold()
    now, gaps = 0.0, []
    for _ in range(8):
        gaps.append(judge.observe(tally(now, 10), CHEAP).again)
        now += gaps[-1]
    assert gaps[:7] == pytest.approx([0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32])
    assert gaps[7] == SLOWEST


def settled(judge: Threshold, anon: float) -> float:
    """Let `judge` see the same tally until its pace is steady; the time of the last one."""
    now = 0.0
    for _ in range(30):
        seen = tally(now, anon)
        finding = judge.observe(seen, CHEAP)
        if finding.survey:
            finding = judge.confirm(survey(seen, anon))
        now += finding.again
    return now


@pytest.mark.parametrize(("anon", "again"), [(50, 0.5), (150, 0.25), (180, 0.1), (199.9, 0.08)])
def test_pace_of_a_steady_run(anon: float, again: float) -> None:
    """A run that does not grow is looked at the less often the more head-room it has."""
    judge = threshold()
    now = settled(judge, anon)
    assert judge.observe(tally(now, anon), CHEAP).again == pytest.approx(again)


def test_pace_of_a_leak() -> None:
    """At 80 MiB/s and 80 MiB of head-room the next look is half a second away, then nearer."""
    judge = threshold()
    now = settled(judge, 112)
    assert judge.observe(tally(now + 0.1, 120, grown=8), CHEAP).again == pytest.approx(0.4)
    assert judge.observe(tally(now + 0.5, 152, grown=32), CHEAP).again == pytest.approx(0.24)
    assert judge.observe(tally(now + 0.9, 184, grown=32), CHEAP).again == pytest.approx(0.08)
    assert judge.observe(tally(now + 1.0, 192, grown=8), CHEAP).again == pytest.approx(0.05)


def test_forked_pages_are_no_growth() -> None:
    """A worker that appears with 150 MiB of its parent's pages does not hurry the next look."""
    judge = threshold()
    now = settled(judge, 150)
    seen = tally(now, 300, grown=0)
    finding = surveyed(judge, seen, survey(seen, 150))
    assert finding.again == pytest.approx(0.25)


def test_looking_is_paid_for() -> None:
    """Looks that take 20 ms each come every 200 ms at most, whatever grows."""
    judge = threshold()
    assert judge.observe(tally(0, 10), 0.02).again == pytest.approx(0.2)
    assert judge.observe(tally(0.2, 190, grown=180), 0.02).again == pytest.approx(0.2)


def test_nothing_left_to_cross() -> None:
    """With the soft limit crossed and no hard one, looking slows down to twice a second."""
    judge = threshold()
    seen = tally(0, 250)
    surveyed(judge, seen, survey(seen, 250))
    now, again = 0.1, 0.0
    for _ in range(12):
        seen = tally(now, 250)
        finding = judge.observe(seen, CHEAP)
        again = (judge.confirm(survey(seen, 250)) if finding.survey else finding).again
        now += again
    assert again == SLOWEST


# --- the laws -------------------------------------------------------------------------------

amounts = st.integers(0, 1000 * MIB)
Step = tuple[float, int, int, int, int, float]
steps = st.lists(
    st.tuples(
        st.floats(0.005, 20),  # seconds since the last look
        amounts,  # anon
        amounts,  # shared
        st.integers(0, 100 * MIB),  # swap
        st.integers(0, 100),  # percent of it that is true
        st.floats(0.00001, 0.2),  # what a look, or a survey, costs
    ),
    min_size=1,
    max_size=40,
)
limits = st.builds(
    Limits,
    st.integers(MIB, 800 * MIB),
    st.one_of(st.none(), st.integers(801 * MIB, 2000 * MIB)),
    counted=st.sampled_from(Count),
)


def play(
    judge: Threshold, story: list[Step]
) -> list[tuple[Tally, Finding, Survey | None, Finding]]:
    """Tell `judge` a story; what it found at each tally, and at the survey that it wanted."""
    told = []
    now, before = 0.0, 0
    for gap, anon, shared, swap, percent, cost in story:
        now += gap
        seen = Tally(now, anon, shared, swap, max(0, anon + shared - before), 1)
        before = anon + shared
        found = judge.observe(seen, cost)
        truth, last = None, found
        if found.survey:
            true, file = anon * percent // 100, shared * percent // 100
            truth = Survey(seen, true + file, true, file, 0, 0, 0, swap, 0, cost)
            last = judge.confirm(truth)
        told.append((seen, found, truth, last))
    return told


@given(limits, steps)
def test_law_nothing_is_crossed_but_on_a_survey(bounds: Limits, story: list[Step]) -> None:
    """A tally alone never crosses, and a survey only does when it is over the limit."""
    for _, found, truth, last in play(Threshold(bounds), story):
        assert not found.crossed
        assert not found.walled
        if last.crossed:
            assert truth is not None
            assert truth.value(bounds.counted) > bounds.soft
        if last.walled:
            assert truth is not None
            assert bounds.hard is not None
            assert truth.value(Count.WORKINGSET) > bounds.hard


@given(limits, steps)
def test_law_an_undoubted_survey_over_the_limit_is_crossed(
    bounds: Limits, story: list[Step]
) -> None:
    """From a survey over the limit to one under 97 % of it, the crossing stands told."""
    told = False
    for _, found, truth, last in play(Threshold(bounds), story):
        assert not (last.crossed and told)
        told = (told and not found.cleared) or last.crossed
        if truth is not None:
            told = told and not last.cleared
            assert told or truth.value(bounds.counted) <= bounds.soft


@given(limits, steps)
def test_law_no_survey_while_the_tally_is_low(bounds: Limits, story: list[Step]) -> None:
    """Far under the limit, a survey is made at most every ROUTINE seconds."""
    lowest = bounds.soft * (1 - SLACK)
    last_survey = None
    crossed = False
    for seen, found, truth, last in play(Threshold(bounds), story):
        crossed = (crossed and not found.cleared) or last.crossed
        low = seen.resident + seen.swap < lowest and not crossed
        if truth is not None:
            if low and last_survey is not None:
                assert seen.at - last_survey >= ROUTINE
            last_survey = seen.at


@given(limits, steps)
def test_law_surveys_are_paid_for(bounds: Limits, story: list[Step]) -> None:
    """After a survey that was a false alarm, ten times its length must pass before the next."""
    last = None
    alarmed = told = False
    for seen, found, truth, confirmed in play(Threshold(bounds), story):
        told = told and not found.cleared
        if truth is not None:
            if alarmed and last is not None:
                assert seen.at - last.tally.at >= last.cost * URGENT_SHARE
            if last is not None:
                # Of a crossing that was told and stands, no growth is an alarm.
                confirms = told or confirmed.crossed or confirmed.walled
                alarmed = outgrown(bounds, seen, last) and not confirms
            told = (told or confirmed.crossed) and not confirmed.cleared
            last = truth


def outgrown(bounds: Limits, seen: Tally, known: Survey) -> bool:
    """Whether growth since `known` is enough for a crossing of the soft limit."""
    before, now = known.tally, seen
    grown = max(0, now.anon - before.anon) + max(0, now.swap - before.swap)
    most = now.anon + now.swap
    if bounds.counted is not Count.ANON:
        grown += max(0, now.shared - before.shared)
        most += now.shared
    return min(most, known.value(bounds.counted) + grown) > bounds.soft


@given(limits, steps)
def test_law_the_interval_is_bounded(bounds: Limits, story: list[Step]) -> None:
    """The next look is between 5 and 500 ms away, unless looking itself is dear."""
    for (_, found, truth, last), step in zip(play(Threshold(bounds), story), story, strict=True):
        assert FASTEST <= found.again <= SLOWEST
        dear = max(SLOWEST, step[5] * URGENT_SHARE)
        assert FASTEST <= last.again <= dear if truth else last.again <= SLOWEST


@given(st.floats(1, 2000), st.floats(0, 190))
def test_law_half_the_head_room(rate: float, start: float) -> None:
    """A steady leak is told at the first look over the limit, which is at most 5 ms late."""
    judge = threshold()
    now, anon, last = 0.0, start, start
    while True:
        seen = tally(now, anon, grown=anon - last)
        finding = judge.observe(seen, CHEAP)
        if finding.survey:
            finding = judge.confirm(survey(seen, anon))
        if finding.crossed:
            break
        last, now, anon = anon, now + finding.again, anon + rate * finding.again
    sudden = max(rate, SUDDEN / MIB) * CHEAP * LOOK_SHARE
    assert anon - 200 <= max(sudden, rate * FASTEST) + 0.01

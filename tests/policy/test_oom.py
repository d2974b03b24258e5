"""The wall, from the counters of memory.events.local: killed, stuck, rescued, or not our wall."""

from __future__ import annotations

import pytest

from sentinel.policy.oom import KILL_FOLLOWS, OomJudge, Wall

KILLED = Wall(crossed=True, why="the kernel's OOM killer ended it at the hard limit")
STUCK = Wall(crossed=True, why="out of memory at the hard limit with nobody killed")
NOTHING = Wall()


def counts(oom: int, oom_kill: int = 0, oom_group_kill: int = 0) -> dict[str, int]:
    """memory.events.local of a leaf that has also seen its wire and its wall."""
    return {
        "low": 0,
        "high": 7,
        "max": 4000,
        "oom": oom,
        "oom_kill": oom_kill,
        "oom_group_kill": oom_group_kill,
    }


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({}, NOTHING),
        (counts(0), NOTHING),
        (counts(1, oom_kill=1), KILLED),
        (counts(1, oom_kill=3, oom_group_kill=1), KILLED),
        # The victim was in a cgroup that the command made: its own file counts the kill.
        (counts(1, oom_group_kill=1), KILLED),
        # Linux before 5.17 has no oom_group_kill.
        ({"oom": 2, "oom_kill": 1}, KILLED),
        # An ancestor's wall, or the whole machine's.
        (counts(0, oom_kill=2), NOTHING),
        (counts(0, oom_kill=2, oom_group_kill=1), NOTHING),
    ],
)
def test_one_look(seen: dict[str, int], expected: Wall) -> None:
    """A kill with an OOM of our own is our wall; a kill without one was decided above us."""
    assert OomJudge().observe(100.0, seen) == expected


def test_cache_pressing_at_the_wall_is_no_oom() -> None:
    """Thousands of `max` events without `oom` are reclaim doing its work."""
    judge = OomJudge()
    assert [judge.observe(at, counts(0) | {"max": 600 * at}) for at in range(1, 5)] == [NOTHING] * 4


def test_a_kill_may_be_counted_after_the_oom() -> None:
    """Between the two counters a look finds nothing yet, and comes again."""
    judge = OomJudge()
    assert judge.observe(5.0, counts(1)) == Wall(again=5.25)
    assert judge.observe(5.25, counts(1, oom_kill=1)) == KILLED


def test_a_kill_long_after_a_narrow_escape_was_decided_above() -> None:
    """Own `oom` 1 without a kill, and half a minute later somebody is killed without another."""
    judge = OomJudge()
    assert not judge.observe(5.0, counts(1)).crossed
    assert judge.rescued == 0
    assert judge.observe(35.0, counts(1, oom_kill=2, oom_group_kill=1)) == NOTHING
    assert judge.rescued == 1


def test_a_kill_that_a_slow_console_delayed_is_our_own() -> None:
    """The kernel counts the OOM, writes its report, and then counts the kill."""
    judge = OomJudge()
    judge.observe(5.0, counts(1))
    assert judge.observe(5.0 + KILL_FOLLOWS, counts(1, oom_kill=1)) == KILLED


def test_our_own_wall_after_an_escape_and_a_kill_from_above() -> None:
    """Each kill is judged by the OOM that came with it."""
    judge = OomJudge()
    judge.observe(5.0, counts(1))
    assert judge.observe(35.0, counts(1, oom_kill=1)) == NOTHING
    assert judge.observe(36.0, counts(1, oom_kill=1)) == NOTHING
    assert judge.observe(40.0, counts(2, oom_kill=2)) == KILLED


def test_an_escape_after_a_kill_from_above_is_no_kill_of_ours() -> None:
    """The kill is older than the OOM."""
    judge = OomJudge()
    assert judge.observe(5.0, counts(0, oom_kill=1)) == NOTHING
    assert not judge.observe(6.0, counts(1, oom_kill=1)).crossed


def test_an_oom_that_somebody_else_prevented_is_forgotten() -> None:
    """Another process freed memory in time: one `oom`, nobody killed, and the program goes on."""
    judge = OomJudge()
    said = [judge.observe(at, counts(1)) for at in (5.0, 5.25, 5.5, 5.75, 6.0, 6.1, 7.0, 100.0)]
    assert said == [Wall(again=5.25), Wall(again=5.5), Wall(again=5.75), *[NOTHING] * 5]


def test_rescues_now_and_then_never_add_up() -> None:
    """One narrow escape per second for an hour is no second of being stuck."""
    judge = OomJudge()
    assert not any(judge.observe(float(at), counts(1 + at)).crossed for at in range(3600))


@pytest.mark.parametrize("step", [0.01, 0.1, 0.25, 0.5])
def test_an_exempt_member_is_stuck_when_oom_rises_for_a_second(step: float) -> None:
    """oom_score_adj -1000: the counter rises and rises and nobody is killed."""
    judge = OomJudge()
    at, ooms = 5.0, 1
    while not (said := judge.observe(at, counts(ooms))).crossed:
        assert said.again == at + 0.25
        at, ooms = at + step, ooms + 3
    assert said == STUCK
    assert 6.0 <= at < 6.0 + 2 * step


def test_stuck_needs_a_second_from_the_last_pause_on() -> None:
    """A pause of more than half a second begins the second again."""
    judge = OomJudge()
    rises = [5.0, 5.4, 5.8, 6.31, 6.7, 7.1]
    said = [judge.observe(at, counts(number)) for number, at in enumerate(rises, 1)]
    assert not any(wall.crossed for wall in said)
    assert judge.observe(7.4, counts(9)) == STUCK


def test_a_rise_seen_late_is_not_a_second_of_rising() -> None:
    """Two looks three seconds apart, with more OOMs at the second, prove only the second one."""
    judge = OomJudge()
    judge.observe(5.0, counts(1))
    assert judge.observe(8.0, counts(40)) == Wall(again=8.25)

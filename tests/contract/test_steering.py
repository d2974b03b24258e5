"""What observers and the control socket ask of every enclosure."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from sentinel.model.errors import SentinelError
from sentinel.model.events import Happening
from tests.contract.kinds import LIMITS, MIB
from tests.contract.stage import Stage
from tests.victims.build import victim

COUNTING = "(while :; do echo x; done >counted) & while :; do echo x; done >counted-too"
"""Two processes that can be seen to be at work by their files."""


def sizes(stage: Stage) -> tuple[int, ...]:
    """How far the two have got."""
    return tuple((stage.folder / name).stat().st_size for name in ("counted", "counted-too"))


def works(stage: Stage) -> Callable[[], bool]:
    """Whether both have gone on since now."""
    before = sizes(stage)
    return lambda: all(now > then for now, then in zip(sizes(stage), before, strict=True))


def stands(stage: Stage) -> bool:
    """Whether both have stood still for half a second of turns."""
    before = sizes(stage)
    until = stage.loop.now() + 0.5
    while stage.loop.now() < until:
        stage.turn()
        if sizes(stage) != before:
            return False
    return True


def counting(stage: Stage) -> None:
    """Both at work."""
    stage.script(COUNTING)
    names = ("counted", "counted-too")
    stage.until("both files", lambda: all((stage.folder / name).exists() for name in names))
    stage.until("both at work", works(stage))


def test_freezing_halts_everybody_and_thawing_lets_them_go_on(stage: Stage) -> None:
    """More than once, and twice in a row does no harm."""
    counting(stage)
    for _ in range(2):
        stage.enclosure.freeze(frozen=True)
        stage.enclosure.freeze(frozen=True)
        stage.until("a standstill", lambda: stands(stage))
        stage.enclosure.freeze(frozen=False)
        stage.until("both at work again", works(stage))


def test_a_frozen_run_can_be_killed(stage: Stage) -> None:
    """Without being thawed first."""
    counting(stage)
    stage.enclosure.freeze(frozen=True)
    stage.enclosure.kill()
    stage.emptied()
    assert stage.living() == set()


def test_members_are_told_with_the_main_process_first(stage: Stage) -> None:
    """All of them, by number."""
    stage.script("sleep 60 & sleep 60 & wait")
    stage.until("three", lambda: len(stage.living()) == 3)
    assert stage.main is not None
    members = stage.enclosure.members()
    assert members[0] == stage.main.pid
    assert set(members) == stage.living()


def test_reading_tells_the_memory(stage: Stage) -> None:
    """What a process of 40 MiB holds is in it; peaks are no smaller."""
    stage.start(victim(), "hold", "size=40M")
    stage.ready()
    if stage.enclosure.backend == "fake":
        assert stage.enclosure.read(0.0) is None
        return

    def seen() -> bool:
        reading = stage.enclosure.read(stage.loop.now())
        return reading is not None and reading.current >= 40 * MIB

    stage.until("40 MiB", seen)
    peak = stage.enclosure.tally().peak_current
    assert peak is not None
    assert peak >= 40 * MIB


def test_a_lower_limit_is_crossed_by_what_is_there_already(stage: Stage) -> None:
    """Told as any crossing, from a look that is due at once."""
    stage.start(victim(), "hold", "size=60M")
    stage.ready()
    if stage.enclosure.backend == "fake":
        stage.enclosure.set_limits(LIMITS, 0.0)
        return
    stage.enclosure.set_limits(LIMITS._replace(soft=32 * MIB), stage.loop.now())
    stage.look_now()
    stage.until("the crossing", lambda: crossings(stage) == 1)


def test_a_higher_limit_is_not_crossed(stage: Stage) -> None:
    """What was over the old limit is under the new one."""
    stage.start(victim(), "hold", "size=60M")
    stage.ready()
    if stage.enclosure.backend == "fake":
        stage.enclosure.set_limits(LIMITS, 0.0)
        return
    for soft in (32, 300):
        limits = LIMITS._replace(soft=soft * MIB, hard=500 * MIB)
        stage.enclosure.set_limits(limits, stage.loop.now())
    stage.look_now()
    for _ in itertools.repeat(None, 50):
        stage.turn()
    assert crossings(stage) == 0


def crossings(stage: Stage) -> int:
    """How often the soft limit was told to be crossed."""
    return sum(event.what is Happening.SOFT_CROSSED for event in stage.events)


def test_reclaim_is_news_or_an_error(stage: Stage) -> None:
    """Only a cgroup can; it says in the end how much it was."""
    stage.start(victim(), "hold", "size=1M")
    stage.ready()
    if stage.enclosure.backend == "fake":
        stage.enclosure.reclaim(None)
    elif stage.enclosure.backend != "cgroup":
        with pytest.raises(
            SentinelError, match=f"the {stage.enclosure.backend} backend cannot reclaim"
        ):
            stage.enclosure.reclaim(None)
    else:
        stage.enclosure.reclaim(None)
        stage.look_now()
        stage.until("the news", lambda: stage.news)
        assert [what for what, _ in stage.news] == ["reclaimed"]

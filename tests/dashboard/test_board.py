"""What is worked out of the answers: growth, the time left, what counts."""

from __future__ import annotations

from sentinel.dashboard.board import Estimate, Sample
from sentinel.model.snapshot import Reading
from sentinel.model.spec import Count
from sentinel.model.status import RunStatus
from sentinel.model.units import MIB
from tests.dashboard.boards import LEAK, status

BEGAN = 1000.0
"""What the clock showed at the start: nothing may depend on its zero."""


def test_growth_looks_back_a_few_seconds() -> None:
    """What happened before is over; the time left is what it leaves until the soft limit."""
    heights = ((0, 0), (1, 100), (6, 100), (8, 104))
    history = tuple(Sample(BEGAN + at, held * MIB) for at, held in heights)
    run = LEAK._replace(history=history, used=104 * MIB)
    assert run.growth == 2 * MIB
    assert run.time_to_limit == 48.0


def test_growth_of_a_young_run_is_what_it_says_itself() -> None:
    """Unknown when it says nothing; and then so is the time left."""
    run = LEAK._replace(history=(Sample(BEGAN, 0), Sample(BEGAN + 0.5, 9)))
    assert (run.growth, run.time_to_limit) == (None, None)
    assert run.status is not None
    told = run._replace(status=run.status._replace(growth=52.0 * MIB), used=148 * MIB)
    assert (told.growth, told.time_to_limit) == (52.0 * MIB, 1.0)
    over = told._replace(used=300 * MIB)
    assert over.time_to_limit == 0.0


def test_what_counts() -> None:
    """The working set in a leaf; anon or all where the limit counts these; unknown stays so."""
    found = status("x", 100 * MIB)
    assert Estimate().take(found) == 100 * MIB
    assert Estimate().take(counting(found, Count.ANON)) == 99 * MIB
    assert Estimate().take(counting(found, Count.TOTAL)) == 103 * MIB
    assert Estimate().take(found._replace(reading=None)) is None
    bare = found._replace(reading=Reading(0.0, 7, None))
    assert Estimate().take(bare) == 7
    assert Estimate().take(counting(bare, Count.ANON)) is None


def counting(found: RunStatus, count: Count) -> RunStatus:
    """`found` with another part of memory compared with its limit."""
    return found._replace(limits=found.limits._replace(counted=count))


def test_between_surveys_of_a_family_the_shared_part_is_trusted() -> None:
    """What is resident grows at once, what is shared is known since the last survey."""
    estimate = Estimate()
    family = status("x", 1)._replace(backend="rss")

    def take(resident: int, working_set: int | None) -> int | None:
        return estimate.take(family._replace(reading=Reading(0.0, resident, working_set)))

    assert (take(100, None), estimate.is_bound) == (100, True)
    assert (take(100, 60), estimate.is_bound) == (60, False)
    assert take(130, 60) == 90
    assert take(140, 95) == 95
    assert take(10, 95) == 0

"""The trigger rule in a loop with a modelled kernel: leaks, caches, saws, in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.model.spec import Count
from sentinel.policy.trigger import Trigger, Wire
from tests.policy.kernel_loop import TICK, Leaf, Program, Watcher, run

MIB = 1 << 20
GIB = 1 << 30


def per_tick(rate: float) -> int:
    """Bytes in one tick at `rate` bytes per second."""
    return max(4096, round(rate * TICK))


def leak(rate: float) -> Program:
    """Anonymous memory that only grows."""
    return lambda leaf: leaf.charge(anon=per_tick(rate))


def stream(rate: float = 500 * MIB) -> Program:
    """Reads a file for ever."""
    return lambda leaf: leaf.charge(cache=per_tick(rate))


def both(*programs: Program) -> Program:
    """Several at once."""

    def all_of_them(leaf: Leaf) -> None:
        for program in programs:
            program(leaf)

    return all_of_them


def hold(anon: int) -> Program:
    """Grow to `anon` bytes at once and stay."""
    return lambda leaf: leaf.charge(anon=max(0, min(anon - leaf.anon, 8 * MIB)))


def saw(low: int, high: int, rate: float) -> Program:
    """Grow from `low` to `high`, drop, again."""

    def tooth(leaf: Leaf) -> None:
        if leaf.anon + per_tick(rate) > high:
            leaf.anon = low
        leaf.charge(anon=min(per_tick(rate), high - leaf.anon))

    return tooth


def watched(
    limit: int, program: Program, seconds: float, count: Count = Count.WORKINGSET
) -> tuple[Leaf, Watcher]:
    """`program` at `limit` with half as much head-room, until it is crossed."""
    leaf = Leaf(limit, limit * 3 // 2)
    return leaf, run(leaf, Watcher(Trigger(limit, 1, count)), program, seconds)


@settings(max_examples=25)
@given(
    limit=st.sampled_from([64 * MIB, 200 * MIB, GIB, 8 * GIB]),
    rate=st.floats(min_value=5 * MIB, max_value=4 * GIB),
    streams=st.booleans(),
)
def test_a_leak_always_crosses_at_most_5_percent_over_the_limit(
    limit: int, rate: float, *, streams: bool
) -> None:
    """However fast it leaks and whatever else it reads, the brake holds it until it is seen."""
    program = both(stream(), leak(rate)) if streams else leak(rate)
    leaf = Leaf(limit, limit * 3 // 2)
    leaf.anon = limit - round(rate / 4)  # the way there is uneventful
    leaf.anon = max(0, leaf.anon)
    watcher = run(leaf, Watcher(Trigger(limit, 1)), program, limit / rate + 3)
    crossing = watcher.crossing()
    assert crossing is not None
    assert crossing.reading.current <= limit * 1.05


@settings(max_examples=25)
@given(
    low=st.integers(min_value=0, max_value=100),
    high=st.integers(min_value=0, max_value=100),
    rate=st.floats(min_value=MIB, max_value=2 * GIB),
    streams=st.booleans(),
)
def test_what_stays_within_the_limit_never_crosses(
    low: int, high: int, rate: float, *, streams: bool
) -> None:
    """Any saw under the limit, with a file streaming beside it or not, is left alone."""
    limit = 64 * MIB
    low, high = sorted((low * limit // 100, high * limit // 100))
    program = saw(low, high, rate)
    leaf, watcher = watched(limit, both(program, stream()) if streams else program, 3)
    assert watcher.said == []
    assert leaf.armed


@pytest.mark.parametrize(
    ("anon", "most"),
    [(0, 10), (32 * MIB, 10), (61 * MIB, 10), (63 * MIB, 101)],
)
def test_readings_per_second_while_a_file_streams(anon: int, most: int) -> None:
    """Events come fifty times a second; readings five times, a hundred only near the limit."""
    _, watcher = watched(64 * MIB, both(hold(anon), stream()), 11)
    assert watcher.said == []
    last_ten_seconds = [at for at in watcher.readings if at >= 1]
    assert 40 <= len(last_ten_seconds) <= most * 10


def test_when_the_streaming_ends_so_do_the_readings() -> None:
    """A second after the last event nothing is read any more."""
    program = stream()
    _, watcher = watched(64 * MIB, lambda leaf: program(leaf) if leaf.now < 3 else None, 60)
    assert watcher.trigger.quiet
    assert watcher.readings[-1] < 4.3


def test_a_leak_after_long_streaming_is_seen_in_time() -> None:
    """The rule has backed off when the leak begins, and still sees it at 5 % over."""
    quick = both(stream(), lambda leaf: leak(GIB)(leaf) if leaf.now > 10.05 else None)
    _, watcher = watched(64 * MIB, quick, 20)
    crossing = watcher.crossing()
    assert crossing is not None
    assert crossing.reading.at < 10.7
    assert crossing.reading.current <= 64 * MIB * 1.05


def test_uncounted_memory_lifts_the_wire_and_arms_it_when_it_is_gone() -> None:
    """With --count anon a full tmpfs brakes for 30 ms, not for ever, and files may then stream."""

    def fill_and_empty(leaf: Leaf) -> None:
        if leaf.now < 5:
            leaf.charge(shmem=max(0, min(80 * MIB - leaf.shmem, MIB)))
        else:
            leaf.shmem = 0
            leaf.charge(cache=MIB)

    leaf, watcher = watched(64 * MIB, fill_and_empty, 20, Count.ANON)
    assert [said.finding.wire for said in watcher.said] == [Wire.LIFT, Wire.ARM]
    lift, arm = watcher.said
    assert lift.reading.at < 0.3
    assert 5 <= arm.reading.at <= 6.1
    assert leaf.armed
    assert leaf.current <= 65 * MIB


def test_a_leak_of_anon_is_seen_while_the_wire_is_lifted_for_something_else() -> None:
    """Nothing brakes it then, so the readings keep up with its growth."""

    def program(leaf: Leaf) -> None:
        leaf.charge(shmem=max(0, min(80 * MIB - leaf.shmem, MIB)))
        if leaf.now > 8:
            leaf.charge(anon=per_tick(20 * MIB))

    leaf = Leaf(64 * MIB, 400 * MIB)
    watcher = run(leaf, Watcher(Trigger(64 * MIB, 1, Count.ANON)), program, 20)
    crossing = watcher.crossing()
    assert crossing is not None
    assert crossing.reading.anon is not None
    assert 64 * MIB <= crossing.reading.anon <= 64 * MIB * 1.05

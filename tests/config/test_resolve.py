"""Words -> RunSpec: every option's meaning, default and refusal."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from sentinel.config.resolve import Available, Resolved, resolve
from sentinel.config.sources import gather
from sentinel.model.errors import EXIT_USAGE, UsageFault
from sentinel.model.spec import Ceiling, Command, Count, Limits, RunSpec, StopPlan
from sentinel.model.units import GIB, MIB, SMALLEST_LIMIT

COMMAND = Command((b"/usr/bin/leaker", b"--rate", b"20"), (b"A=1",))
MACHINE = Available(24 * GIB)


def asked(
    given: dict[str, str], available: Available = MACHINE, flags: frozenset[str] = frozenset()
) -> Resolved:
    """Resolve the options `given` on a machine with that much available."""
    return resolve(COMMAND, gather(given, {}), flags, available)


def limits(given: dict[str, str], available: Available = MACHINE) -> Limits:
    """Only the limits."""
    return asked(given, available).spec.limits


def test_nothing_asked_for_is_all_defaults() -> None:
    """80% of what may be used, a wall at 95%, no swap, 3 s from SIGTERM to the kill."""
    assert asked({}) == Resolved(
        RunSpec(
            name="leaker",
            command=COMMAND,
            limits=Limits(
                soft=20615843020,
                hard=24481313587,
                swap=0,
                pids=None,
                cpus=None,
                counted=Count.WORKINGSET,
                ceiling=Ceiling(24 * GIB, "the machine's memory"),
            ),
            stop=StopPlan(signal=15, main_only=False, grace=3.0, patience=0.0, timeout=None),
            backend="auto",
            preserve_status=False,
            explicit=frozenset(),
        ),
        ("limit 19.2G (80% of 24G)",),
    )


def test_everything_asked_for_is_in_the_spec() -> None:
    """Each option lands in its field, and is remembered as explicit."""
    given = {
        "limit": "200M",
        "hard-limit": "1G",
        "swap": "64M",
        "grace": "500ms",
        "signal": "SIGUSR1",
        "for": "2s",
        "timeout": "1m",
        "count": "anon",
        "backend": "cgroup",
        "pids": "50",
        "cpus": "1.5",
        "name": "worker",
    }
    flags = frozenset({"signal-main-only", "preserve-status"})
    resolved = asked(given, flags=flags)
    assert resolved == Resolved(
        RunSpec(
            name="worker",
            command=COMMAND,
            limits=Limits(200 * MIB, GIB, 64 * MIB, 50, 1.5, Count.ANON, Ceiling(*MACHINE)),
            stop=StopPlan(signal=10, main_only=True, grace=0.5, patience=2.0, timeout=60.0),
            backend="cgroup",
            preserve_status=True,
            explicit=flags.union(given),
        ),
        (),
    )


@pytest.mark.parametrize(
    ("soft", "available", "wall"),
    [
        ("64M", 24 * GIB, 128 * MIB),
        ("128M", 24 * GIB, 192 * MIB),
        ("200M", 24 * GIB, 300 * MIB),
        ("1G", 24 * GIB, GIB + 512 * MIB),
        ("200M", 250 * MIB, int(250 * MIB * 0.95)),
        ("200M", 210 * MIB, 300 * MIB),
        ("4G", 2 * GIB, 6 * GIB),
    ],
)
def test_the_default_wall_leaves_room_for_the_grace(soft: str, available: int, wall: int) -> None:
    """Half as much again, at least 64M; under 95% of everything unless that is no room at all."""
    assert limits({"limit": soft}, Available(available)).hard == wall


@drawn(st.integers(SMALLEST_LIMIT, 1 << 45), st.integers(0, 1 << 45))
def test_the_default_wall_is_always_above_the_limit(soft: int, available: int) -> None:
    """No combination of limit and machine puts the wall where no soft stop can happen."""
    wall = limits({"limit": str(soft)}, Available(available)).hard
    assert wall is not None
    assert wall > soft


def test_percentages_are_of_what_may_be_used() -> None:
    """Limit, wall and swap take percentages of the same whole."""
    given = {"limit": "50%", "hard-limit": "75%", "swap": "25%"}
    found = limits(given, Available(GIB, "/a/memory.high"))
    assert found == Limits(GIB // 2, GIB * 3 // 4, GIB // 4, ceiling=Ceiling(GIB, "/a/memory.high"))


@pytest.mark.parametrize("none", ["none", "None", " NONE "])
def test_the_wall_can_be_left_out(none: str) -> None:
    """`--hard-limit none` means no memory.max."""
    assert limits({"limit": "200M", "hard-limit": none}).hard is None


@pytest.mark.parametrize("pids", [1, 4_194_304])
def test_tasks_from_one_to_all_that_linux_can_number(pids: int) -> None:
    """A program of one task may ask for no more than itself."""
    assert limits({"limit": "200M", "pids": str(pids)}).pids == pids


@pytest.mark.parametrize("zero", ["0", "0M", "0.0G", "0%"])
def test_no_swap_is_a_swap_limit(zero: str) -> None:
    """The smallest limit is about memory: no swap at all is the default."""
    assert limits({"limit": "200M", "swap": zero}).swap == 0


@pytest.mark.parametrize(
    ("available", "given", "notice"),
    [
        (
            Available(2 * GIB),
            {"limit": "4G"},
            (
                "the limit 4G is above what this process may use (2G, the machine's memory), "
                "which is reached first; lower it"
            ),
        ),
        (
            Available(2 * GIB, "/system.slice/x"),
            {"limit": "4G", "hard-limit": "8G"},
            (
                "the limit 4G is above what this process may use (2G, /system.slice/x), "
                "which is reached first; lower it"
            ),
        ),
        (
            Available(2 * GIB),
            {"limit": "1G", "hard-limit": "3G"},
            (
                "the hard limit 3G is above what this process may use (2G, the machine's memory), "
                "which is reached first; lower it"
            ),
        ),
        (
            Available(200 * MIB),
            {"limit": "195M"},
            (
                "the hard limit 292.5M is above what this process may use (200M, the machine's "
                "memory), which is reached first; lower it"
            ),
        ),
    ],
)
def test_a_limit_above_the_ancestors_is_one_warning(
    available: Available, given: dict[str, str], notice: str
) -> None:
    """What this process itself may use comes first: said once, and the command runs."""
    assert asked(given, available).notices == (notice,)


@pytest.mark.parametrize("given", [{"limit": "2G", "hard-limit": "none"}, {"limit": "1G"}])
def test_a_limit_within_the_ancestors_is_no_warning(given: dict[str, str]) -> None:
    """All of what may be used is not above it."""
    assert asked(given, Available(2 * GIB)).notices == ()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"limit": "12X"}, "--limit: '12X' is not a size; write it like 200M, 1.5G or 50%"),
        ({"limit": ""}, "--limit: '' is not a size; write it like 200M, 1.5G or 50%"),
        ({"limit": "none"}, "--limit: 'none' is not a size; write it like 200M, 1.5G or 50%"),
        ({"limit": "101%"}, "--limit: size '101%' is more than all there is; use at most 100%"),
        (
            {"limit": "200"},
            "--limit: '200' is 200 bytes, too small for any program; did you mean 200M?",
        ),
        (
            {"limit": "1023K"},
            "--limit: '1023K' is 1047552 bytes, too small for any program; use 1M or more",
        ),
        ({"limit": "0"}, "--limit: '0' is 0 bytes, too small for any program; use 1M or more"),
        (
            {"hard-limit": "64K"},
            "--hard-limit: '64K' is 65536 bytes, too small for any program; use 1M or more",
        ),
        (
            {"limit": "200M", "hard-limit": "200M"},
            (
                "--hard-limit: '200M' (209715200 bytes) is not above the limit (209715200 bytes); "
                "give --hard-limit a larger size or none, to have it asked before it is killed"
            ),
        ),
        (
            {"limit": "200M", "hard-limit": "100M"},
            (
                "--hard-limit: '100M' (104857600 bytes) is not above the limit (209715200 bytes); "
                "give --hard-limit a larger size or none, to have it asked before it is killed"
            ),
        ),
        (
            {"hard-limit": "1G"},
            (
                "--hard-limit: '1G' (1073741824 bytes) is not above the limit (20615843020 bytes); "
                "give --hard-limit a larger size or none, to have it asked before it is killed"
            ),
        ),
        (
            {"swap": "100"},
            "--swap: '100' is 100 bytes, too small for any program; did you mean 100M?",
        ),
        ({"swap": ""}, "--swap: '' is not a size; write it like 200M, 1.5G or 50%"),
        (
            {"grace": "soon"},
            "--grace: 'soon' is not a duration; write it like 3s, 250ms, 5m or 2h",
        ),
        ({"for": "-1"}, "--for: '-1' is not a duration; write it like 3s, 250ms, 5m or 2h"),
        ({"timeout": ""}, "--timeout: '' is not a duration; write it like 3s, 250ms, 5m or 2h"),
        (
            {"timeout": "0s"},
            "--timeout: '0s' would end the command at once; leave it out for no limit on the time",
        ),
        ({"signal": "TREM"}, "--signal: 'TREM' is no signal; did you mean TERM?"),
        (
            {"signal": "KILL"},
            "--signal: 'KILL' cannot be handled by any command; to kill at once use --grace 0",
        ),
        (
            {"signal": "19"},
            "--signal: '19' cannot be handled by any command; to kill at once use --grace 0",
        ),
        ({"count": "rss"}, "--count: 'rss' is unknown; use workingset, anon or total"),
        ({"backend": "v1"}, "--backend: 'v1' is unknown; use auto, cgroup, cgroup-ro or rss"),
        ({"pids": "0"}, "--pids: '0' is no number of tasks; use a whole number from 1 to 4194304"),
        (
            {"pids": "1.5"},
            "--pids: '1.5' is no number of tasks; use a whole number from 1 to 4194304",
        ),
        (
            {"pids": "4194305"},
            "--pids: '4194305' is no number of tasks; use a whole number from 1 to 4194304",
        ),
        (
            {"cpus": "0"},
            "--cpus: '0' is no number of CPUs; use a number from 0.01 to 10000, as in 1.5",
        ),
        (
            {"cpus": "1e3"},
            "--cpus: '1e3' is no number of CPUs; use a number from 0.01 to 10000, as in 1.5",
        ),
        ({"name": ""}, "--name: '' is empty; use a short word like worker"),
        ({"name": "a/b"}, "--name: 'a/b' has a slash in it; use a short word like worker"),
    ],
)
def test_a_value_that_means_nothing_is_refused(given: dict[str, str], line: str) -> None:
    """One line that names the option, the value and the remedy; exit status 2."""
    with pytest.raises(UsageFault) as caught:
        asked(given)
    assert str(caught.value) == line
    assert caught.value.exit_status == EXIT_USAGE


def test_a_refusal_says_where_the_word_stands() -> None:
    """A value from the environment is not blamed on an option."""
    with pytest.raises(UsageFault) as caught:
        resolve(COMMAND, gather({}, {"SENTINEL_GRACE": "x"}), frozenset(), MACHINE)
    assert str(caught.value) == (
        "SENTINEL_GRACE: 'x' is not a duration; write it like 3s, 250ms, 5m or 2h"
    )


def test_a_value_from_elsewhere_is_explicit_too() -> None:
    """Somebody wants it: what a backend cannot enforce is to be said whoever asked."""
    resolved = resolve(COMMAND, gather({}, {"SENTINEL_PIDS": "9"}), frozenset(), MACHINE)
    assert resolved.spec.explicit == {"pids"}
    assert resolved.spec.limits.pids == 9


SIZES = st.text() | st.from_regex(r"[0-9]{0,4}(\.[0-9])?(%|[KMGTkmgt](i?B)?)?", fullmatch=True)


@drawn(st.dictionaries(st.sampled_from(["limit", "hard-limit", "swap"]), SIZES))
def test_any_words_resolve_or_are_refused(given: dict[str, str]) -> None:
    """Whatever is written, the limits are in order or it is a usage fault."""
    with suppress(UsageFault):
        found = limits(given)
        assert found.soft >= SMALLEST_LIMIT
        assert found.hard is None or found.hard > found.soft
        assert found.swap == 0 or found.swap >= SMALLEST_LIMIT


@drawn(
    soft=st.integers(1, 1 << 20),
    more=st.integers(1, 1 << 20),
    unit=st.sampled_from(["M", "MiB", "mb", "G", "T"]),
)
def test_sizes_round_trip_through_the_spec(soft: int, more: int, unit: str) -> None:
    """What is written as N units is N units in the spec, limit and wall alike."""
    factor = {"m": MIB, "g": GIB, "t": GIB << 10}[unit[0].lower()]
    found = limits({"limit": f"{soft}{unit}", "hard-limit": f"{soft + more}{unit}"})
    assert (found.soft, found.hard) == (soft * factor, (soft + more) * factor)

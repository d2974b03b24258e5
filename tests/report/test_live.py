"""What is told while a run goes on."""

from __future__ import annotations

import pytest

from sentinel.model.outcome import Moment
from sentinel.model.spec import Ceiling, Command, Count, Limits, RunSpec, StopPlan
from sentinel.model.units import MIB
from sentinel.report.live import Narrator, resolved_line
from tests.report.outcomes import LIMITS, TRIGGER

SPEC = RunSpec("leaker", Command((b"leaker",), ()), LIMITS, StopPlan(timeout=10.0))
ASKED = Moment(2.0, "asked to stop", "3 processes", 203 * MIB)
OVER = "working set 201.5M is over the 200M limit (anon 98%)"


def told(*moments: Moment, verbose: bool = False, spec: RunSpec = SPEC) -> list[str]:
    """Every line for `moments`, the trigger with each."""
    narrator = Narrator(verbose=verbose)
    lines = [narrator.tell(spec, moment, TRIGGER) for moment in moments]
    return [line for line in lines if line]


@pytest.mark.parametrize(
    ("cause", "lines"),
    [
        ("patience elapsed", [f"leaker: {OVER}: sent SIGTERM, 3s to finish"]),
        ("timeout elapsed", ["leaker: still running after 10s: sent SIGTERM, 3s to finish"]),
        ("stop requested", ["leaker: asked to stop: sent SIGTERM, 3s to finish"]),
        ("main exited", []),
    ],
)
def test_a_stop_of_ours_is_told_as_it_happens(cause: str, lines: list[str]) -> None:
    """Why, what was sent, and how long it has; a command that ended by itself is not told."""
    assert told(Moment(0, "soft crossed"), Moment(1, cause), ASKED) == lines


def test_the_signal_and_the_grace_are_those_of_the_run() -> None:
    """Another signal and another grace stand in the line."""
    spec = SPEC._replace(stop=StopPlan(signal=10, grace=0.25))
    assert told(Moment(1, "patience elapsed"), ASKED, spec=spec) == [
        f"leaker: {OVER}: sent SIGUSR1, 250ms to finish"
    ]


def test_a_reading_is_not_said_to_be_newer_than_it_is() -> None:
    """With `--for` it is that of the crossing, and may have grown since."""
    spec = SPEC._replace(stop=StopPlan(patience=2.5))
    (line,) = told(Moment(1, "patience elapsed"), ASKED, spec=spec)
    assert line == (
        "leaker: working set 201.5M was over the 200M limit (anon 98%) and stayed over it for 2.5s:"
        " sent SIGTERM, 3s to finish"
    )


def test_a_failure_on_the_way_does_not_hide_the_cause() -> None:
    """A wire that cannot be lifted is a warning of its own, between cause and signal."""
    degraded = Moment(1.5, "degraded", "lift the wire: cannot write 'max' to /x: busy")
    assert told(Moment(1, "patience elapsed"), degraded, ASKED) == [
        "leaker: degraded: lift the wire: cannot write 'max' to /x: busy",
        f"leaker: {OVER}: sent SIGTERM, 3s to finish",
    ]


def test_verbose_tells_every_moment() -> None:
    """Time since exec, what, details, and memory where it was read."""
    moments = [
        Moment(0.0, "started", "pid 7"),
        Moment(1.25, "soft crossed", "", 203 * MIB),
        Moment(1.5, "main exited"),
        ASKED,
    ]
    assert told(*moments, verbose=True) == [
        "leaker: +0.000s started: pid 7",
        "leaker: +1.250s soft crossed, memory 203M",
        "leaker: +1.500s main exited",
        "leaker: +2.000s asked to stop: 3 processes, memory 203M",
    ]


def test_a_reading_without_a_composition_is_told() -> None:
    """The rss backend cannot know what the memory is made of."""
    narrator = Narrator(verbose=False)
    assert narrator.tell(SPEC, Moment(1, "patience elapsed"), None) == ""
    reading = TRIGGER._replace(composition=None)
    assert narrator.tell(SPEC, ASKED, reading) == (
        "leaker: working set 201.5M is over the 200M limit: sent SIGTERM, 3s to finish"
    )


def test_what_was_resolved_is_told_in_bytes_and_seconds() -> None:
    """Everything that was asked for or defaulted, exactly."""
    assert resolved_line(SPEC._replace(stop=StopPlan()), "cgroup") == (
        "leaker: backend cgroup, limit 209715200 (workingset), hard limit 314572800, swap 0, "
        "grace 3s, signal SIGTERM"
    )
    ceiling = Ceiling(1 << 30, "/sys/fs/cgroup/a/memory.high")
    limits = Limits(200 * MIB, None, MIB, 5, 1.5, Count.ANON, ceiling)
    stop = StopPlan(signal=1, main_only=True, grace=0.5, patience=2.0, timeout=90.0)
    assert resolved_line(SPEC._replace(limits=limits, stop=stop), "rss") == (
        "leaker: backend rss, limit 209715200 (anon), hard limit none, swap 1048576, "
        "grace 0.5s, signal SIGHUP to the main process, for 2s, timeout 90s, pids 5, cpus 1.5, "
        "above it 1073741824, /sys/fs/cgroup/a/memory.high"
    )

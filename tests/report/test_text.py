"""The lines for people, word for word."""

from __future__ import annotations

from typing import Any

import pytest

from sentinel.model.outcome import (
    ABOVE_NAMESPACE,
    THE_HOST,
    Ledger,
    Signalled,
    Survivor,
    Verdict,
)
from sentinel.model.snapshot import Composition
from sentinel.model.spec import Count
from sentinel.model.units import GIB, MIB
from sentinel.report.text import outcome_lines
from tests.report.outcomes import (
    KILLED,
    LIMITS,
    SLEEPER,
    STOP,
    TERMINATED,
    TRIGGER,
    hard_crossed,
    outcome,
)

V = Verdict
OVER = "working set 201.5M was over the 200M limit (anon 198M, file 4M)"
OOM = "the kernel's OOM killer ended it at the hard limit"


@pytest.mark.parametrize(
    ("verdict", "others", "line"),
    [
        (
            V.EXITED,
            {"survivors_killed": 1},
            "exited: exited with status 0; 1 process needed SIGKILL",
        ),
        (
            V.EXITED,
            {"survivors_killed": 3},
            "exited: exited with status 0; 3 processes needed SIGKILL",
        ),
        (V.SIGNALLED, {"command_status": Signalled(11)}, "signalled: ended by SIGSEGV"),
        (
            V.SIGNALLED,
            {"command_status": TERMINATED, "asked_by": "pid 7, uid 0"},
            "signalled: ended by SIGTERM, sent through Sentinel by pid 7, uid 0",
        ),
        (
            V.SIGNALLED,
            {"command_status": Signalled(37), "survivors_killed": 2},
            "signalled: ended by SIGRTMIN+3; 2 processes needed SIGKILL",
        ),
        (
            V.SOFT_LIMIT,
            {"trigger": TRIGGER, "grace_used": 0.12},
            f"soft-limit: {OVER}; exited with status 0 (120ms of the 3s grace used)",
        ),
        (
            V.SOFT_LIMIT,
            {"trigger": TRIGGER, "grace_used": 3.0, "survivors_killed": 2}
            | {"command_status": TERMINATED},
            (
                f"soft-limit: {OVER}; ended by SIGTERM (3s of the 3s grace used); "
                "2 processes needed SIGKILL"
            ),
        ),
        (
            V.SOFT_LIMIT,
            {"grace_used": 0.5},
            "soft-limit: over the 200M limit; exited with status 0 (500ms of the 3s grace used)",
        ),
        (
            V.SOFT_LIMIT_KILLED,
            {"trigger": TRIGGER, "grace_used": 3.01, "survivors_killed": 5}
            | {"command_status": KILLED},
            (
                f"soft-limit-killed: {OVER}; still running 3s after SIGTERM, killed; "
                "5 processes needed SIGKILL"
            ),
        ),
        (
            V.SOFT_LIMIT_KILLED,
            {"trigger": TRIGGER, "grace_used": 1.2, "survivors_killed": 1}
            | {"command_status": KILLED, "asked_by": "uid 1000"},
            (
                f"soft-limit-killed: {OVER}; killed by uid 1000 (1.2s of the 3s grace used); "
                "1 process needed SIGKILL"
            ),
        ),
        (
            V.HARD_LIMIT,
            {"timeline": hard_crossed(OOM), "trigger": TRIGGER, "command_status": KILLED},
            f"hard-limit: {OOM}, 300M (anon 198M, file 4M)",
        ),
        (
            V.HARD_LIMIT,
            {"timeline": hard_crossed(OOM), "trigger": TRIGGER, "command_status": KILLED}
            | {"grace_used": 0.8, "wall_in_grace": True},
            (
                f"hard-limit: {OOM}, 300M (anon 198M, file 4M); the head-room of 100M ran out "
                "(800ms of the 3s grace used)"
            ),
        ),
        (V.HARD_LIMIT, {}, "hard-limit: it went over the hard limit, 300M"),
        (
            V.HARD_LIMIT,
            {"limits": LIMITS._replace(hard=None)},
            "hard-limit: it went over the hard limit",
        ),
        (
            V.TIMEOUT,
            {"grace_used": 0.03, "trigger": TRIGGER},
            "timeout: ran longer than 10s; exited with status 0 (30ms of the 3s grace used)",
        ),
        (
            V.TIMEOUT_KILLED,
            {"grace_used": 3.0, "command_status": KILLED, "survivors_killed": 1},
            (
                "timeout-killed: ran longer than 10s; still running 3s after SIGTERM, killed; "
                "1 process needed SIGKILL"
            ),
        ),
        (
            V.STOPPED,
            {"grace_used": 0.1, "asked_by": "uid 0", "command_status": TERMINATED},
            "stopped: asked for by uid 0; ended by SIGTERM (100ms of the 3s grace used)",
        ),
        (
            V.KILLED,
            {"asked_by": "uid 0", "command_status": KILLED},
            "killed: asked for by uid 0; ended by SIGKILL",
        ),
        (
            V.KILLED,
            {"grace_used": 3.0, "command_status": KILLED},
            "killed: asked for; still running 3s after SIGTERM, killed",
        ),
        (
            V.SOFT_LIMIT_KILLED,
            {"trigger": TRIGGER, "grace_used": 3.0, "command_status": None}
            | {"survivors_killed": 1},
            (
                f"soft-limit-killed: {OVER}; still running, and it could not be killed; "
                "1 process needed SIGKILL"
            ),
        ),
    ],
)
def test_a_verdict_is_one_line(verdict: Verdict, others: dict[str, Any], line: str) -> None:
    """Who ended it, why, what had grown, and how the end went."""
    assert outcome_lines(outcome(verdict, **others), STOP) == (f"leaker: {line}",)


@pytest.mark.parametrize(
    ("verdict", "above", "where"),
    [
        (V.ANCESTOR_LIMIT, "/a", "at a limit of /a"),
        (V.ANCESTOR_LIMIT, ABOVE_NAMESPACE, "at a limit above this cgroup namespace"),
        (V.ANCESTOR_LIMIT, None, "at a limit above this cgroup namespace"),
        (V.HOST_OOM, THE_HOST, "because the machine ran out of memory"),
    ],
)
@pytest.mark.parametrize(
    ("peak", "hard", "held"),
    [
        (180 * MIB, 300 * MIB, "; it held at most 180M, under a hard limit of 300M"),
        (180 * MIB, None, "; it held at most 180M, under no hard limit"),
        (None, 300 * MIB, ""),
    ],
    ids=["under the wall", "no wall", "no peak"],
)
def test_an_oom_from_above_tells_what_the_run_held(  # noqa: PLR0913, PLR0917 - a table of words
    verdict: Verdict, above: str | None, where: str, peak: int | None, hard: int | None, held: str
) -> None:
    """Against the wall that it did not reach; before Linux 5.19 the peak is not known."""
    ledger = Ledger(peak_current=peak, oom_above=above)
    limits = LIMITS._replace(hard=hard)
    ended = outcome(verdict, command_status=KILLED, ledger=ledger, limits=limits)
    line = f"leaker: {verdict.value}: the kernel's OOM killer ended it {where}{held}"
    assert outcome_lines(ended, STOP) == (line,)


def test_a_plain_end_is_not_worth_a_line() -> None:
    """A command that exited and left nothing behind is the caller's own business."""
    assert outcome_lines(outcome(V.EXITED), STOP) == ()


def test_a_failure_to_start_is_the_error() -> None:
    """The line is the error with its remedy, and nothing around it."""
    failed = outcome(V.FAILED_TO_START, failure="'x': not found on PATH; check the spelling")
    assert outcome_lines(failed, STOP) == ("'x': not found on PATH; check the spelling",)


def test_no_grace_is_said() -> None:
    """`--grace 0` kills at once, and the line does not claim that it was still running."""
    killed = outcome(
        V.SOFT_LIMIT_KILLED, trigger=TRIGGER, grace=0.0, grace_used=0.0, command_status=KILLED
    )
    assert outcome_lines(killed, STOP._replace(grace=0.0)) == (
        f"leaker: soft-limit-killed: {OVER}; killed at once: no grace was given",
    )


def test_what_is_left_behind_is_named() -> None:
    """Processes that cannot be killed, and what cannot be removed, have their own lines."""
    ledger = Ledger(left_behind=(SLEEPER,), unremoved="/sys/fs/cgroup/x: Device or resource busy")
    assert outcome_lines(outcome(V.EXITED, ledger=ledger), STOP) == (
        "leaker: left behind: 12 cat (state D)",
        "leaker: not removed: /sys/fs/cgroup/x: Device or resource busy",
    )


def test_a_crowd_that_is_left_behind_is_counted() -> None:
    """Ten are named, the rest is a number."""
    crowd = tuple(Survivor(pid, "p", "D") for pid in range(1, 13))
    named = ", ".join(f"{pid} p (state D)" for pid in range(1, 11))
    lines = outcome_lines(outcome(V.EXITED, ledger=Ledger(left_behind=crowd)), STOP)
    assert lines == (f"leaker: left behind: {named}, 2 more",)


@pytest.mark.parametrize(
    ("counted", "reading", "words"),
    [
        (Count.ANON, {"anon": 210 * MIB}, "anon 210M was over the 200M limit"),
        (Count.TOTAL, {}, "memory 203M was over the 200M limit"),
        (Count.WORKINGSET, {"working_set": None}, "memory 203M was over the 200M limit"),
        (Count.WORKINGSET, {"working_set": 150 * MIB}, "memory 203M was over the 200M limit"),
        (
            Count.WORKINGSET,
            {"working_set": 200 * MIB + 1024},
            "working set 200M was 1K over the 200M limit",
        ),
    ],
)
def test_what_was_over_the_limit_is_what_was_compared(
    counted: Count, reading: dict[str, Any], words: str
) -> None:
    """The counted part, or all memory where that was what stood over the limit."""
    trigger = TRIGGER._replace(composition=None, **reading)
    found = outcome(
        V.SOFT_LIMIT, limits=LIMITS._replace(counted=counted), trigger=trigger, grace_used=1.0
    )
    assert outcome_lines(found, STOP) == (
        f"leaker: soft-limit: {words}; exited with status 0 (1s of the 3s grace used)",
    )


def test_what_is_left_after_an_oom_kill_is_not_what_had_grown() -> None:
    """The kernel may empty the leaf before anybody can look: then nothing is said of its parts."""
    after = TRIGGER._replace(current=MIB, working_set=MIB)
    found = outcome(V.HARD_LIMIT, timeline=hard_crossed(OOM), trigger=after)
    assert outcome_lines(found, STOP) == (f"leaker: hard-limit: {OOM}, 300M",)


def test_small_parts_are_left_out() -> None:
    """Parts under one percent are noise; an empty composition says nothing."""
    parts = Composition(anon=0, file=0, shmem=GIB, kernel=11 * MIB, sock=10 * MIB, other=0)
    found = outcome(V.SOFT_LIMIT, trigger=TRIGGER._replace(composition=parts), grace_used=1.0)
    assert "(shmem 1G, kernel 11M);" in outcome_lines(found, STOP)[0]
    nothing = Composition(0, 0, 0, 0, 0, 0)
    found = outcome(V.SOFT_LIMIT, trigger=TRIGGER._replace(composition=nothing), grace_used=1.0)
    assert "limit; exited" in outcome_lines(found, STOP)[0]

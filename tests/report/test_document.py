"""The JSON document, field by field."""

from __future__ import annotations

import json
import os

import pytest

from sentinel.model.outcome import (
    CommandStatus,
    CounterDelta,
    Exited,
    Ledger,
    Moment,
    Reaction,
    Signalled,
    Survivor,
    Verdict,
)
from sentinel.model.snapshot import Reading
from sentinel.model.spec import Ceiling, Count, Limits
from sentinel.model.units import MIB
from sentinel.report.document import document
from tests.report.outcomes import TRIGGER, outcome


def test_every_field_of_the_document() -> None:
    """Sizes are bytes, times are seconds, and nothing of the outcome is lost."""
    found = document(
        outcome(
            Verdict.SOFT_LIMIT,
            command_status=Signalled(15),
            limits=Limits(
                *(200 * MIB, 300 * MIB, 0, 50, 1.5, Count.ANON),
                Ceiling(1 << 30, "/sys/fs/cgroup/a/memory.max"),
            ),
            ledger=Ledger(
                peak_current=205 * MIB,
                peak_working_set=204 * MIB,
                high_events=7,
                high_ignored=2,
                counters=(CounterDelta("/sys/fs/cgroup/a", {"high": 7, "oom": 0}),),
                left_behind=(Survivor(12, "cat", "D"),),
                unremoved="/sys/fs/cgroup/a: Device or resource busy",
                oom_above="/sys/fs/cgroup",
            ),
            timeline=(Moment(0.0, "started", "pid 7"), Moment(1.5, "soft crossed", "", 203 * MIB)),
            trigger=TRIGGER,
            reaction=Reaction(0.0412345678, 0.031),
            grace_used=0.1234567,
            wall_in_grace=True,
            asked_by="uid 0",
            survivors_killed=2,
            elapsed=2.0000004,
            unenforced=("swap",),
            exit_status=124,
        )
    )
    assert json.loads(found) == {
        "schema": 1,
        "name": "leaker",
        "backend": "cgroup",
        "verdict": "soft-limit",
        "exit_status": 124,
        "command_status": {"signalled": 15},
        "asked_by": "uid 0",
        "failure": None,
        "limits": {
            "soft": 209715200,
            "hard": 314572800,
            "swap": 0,
            "pids": 50,
            "cpus": 1.5,
            "count": "anon",
            "ceiling": {"size": 1073741824, "label": "/sys/fs/cgroup/a/memory.max"},
        },
        "peak": {"current": 214958080, "working_set": 213909504},
        "timeline": [
            {"at": 0.0, "what": "started", "detail": "pid 7", "current": None},
            {"at": 1.5, "what": "soft crossed", "detail": None, "current": 212860928},
        ],
        "survivors_killed": 2,
        "left_behind": [{"pid": 12, "name": "cat", "state": "D"}],
        "unremoved": "/sys/fs/cgroup/a: Device or resource busy",
        "unenforced": ["swap"],
        "evidence": {
            "counters": [{"path": "/sys/fs/cgroup/a", "counts": {"high": 7, "oom": 0}}],
            "trigger": {
                "current": 212860928,
                "working_set": 211288064,
                "anon": 207618048,
                "tasks": 3,
                "composition": {
                    "anon": 207618048,
                    "file": 4194304,
                    "shmem": 0,
                    "kernel": 1048576,
                    "sock": 0,
                    "other": 0,
                },
            },
            "reaction": {"from_first_event": 0.041235, "from_first_over": 0.031},
            "grace": {"allowed": 3.0, "used": 0.123457},
            "oom_above": "/sys/fs/cgroup",
            "wall_in_grace": True,
            "high_events": {"counted": 7, "ignored": 2},
            "elapsed": 2.0,
        },
    }


def test_what_is_unknown_is_null() -> None:
    """A run that never started has the same fields, and no zeros for what nobody knows."""
    found = json.loads(
        document(
            outcome(
                Verdict.FAILED_TO_START,
                backend="",
                command_status=None,
                failure="'x': not found on PATH",
                exit_status=127,
            )
        )
    )
    assert found["backend"] is None
    assert found["command_status"] is None
    assert found["failure"] == "'x': not found on PATH"
    assert found["peak"] == {"current": None, "working_set": None}
    assert found["evidence"] == {
        "counters": [],
        "trigger": None,
        "reaction": {"from_first_event": None, "from_first_over": None},
        "grace": {"allowed": 3.0, "used": None},
        "oom_above": None,
        "wall_in_grace": False,
        "high_events": {"counted": None, "ignored": None},
        "elapsed": 0.0,
    }


def test_what_a_backend_cannot_read_of_the_trigger_is_null() -> None:
    """The rss backend knows no composition, and may have had no survey yet."""
    trigger = Reading(at=1.0, current=203 * MIB, working_set=None)
    found = json.loads(document(outcome(Verdict.HARD_LIMIT, trigger=trigger)))
    assert found["evidence"]["trigger"] == {
        "current": 212860928,
        "working_set": None,
        "anon": None,
        "tasks": None,
        "composition": None,
    }


@pytest.mark.parametrize(
    ("status", "value"),
    [(Exited(7), {"exited": 7}), (Signalled(9), {"signalled": 9}), (None, None)],
)
def test_the_commands_own_end(status: CommandStatus | None, value: object) -> None:
    """An exit code or a signal, never both, and null when it did not end."""
    found = json.loads(document(outcome(Verdict.EXITED, command_status=status)))
    assert found["command_status"] == value


@pytest.mark.parametrize("verdict", Verdict)
def test_the_verdict_is_its_word(verdict: Verdict) -> None:
    """Every verdict is written as docs/verdicts.md calls it."""
    assert json.loads(document(outcome(verdict)))["verdict"] == verdict.value


def test_the_document_is_one_line_of_ascii() -> None:
    """Whatever bytes a name had, every JSON reader can read the line."""
    name = os.fsdecode(b"caf\xc3\xa9\xff\n")
    data = document(outcome(Verdict.EXITED, name=name))
    assert data.endswith(b"\n")
    assert data.count(b"\n") == 1
    data.decode("ascii")
    assert json.loads(data)["name"] == "café\\xff\n"

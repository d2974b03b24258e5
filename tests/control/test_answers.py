"""What the control socket says of a run: lines for people, documents for programs."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from sentinel.control import answers
from sentinel.control.codec import VERBS
from sentinel.model.outcome import Moment
from sentinel.model.snapshot import Reading
from sentinel.model.spec import Count, Limits
from sentinel.model.status import Actions, Tally
from tests.control.stage import MIB, OUTCOME, STATUS

NOBODY_KNOWS = STATUS._replace(reading=None, tally=Tally(), growth=None, pressure=None, leaf="")


def test_status_is_short_aligned_lines() -> None:
    """One fact a line, sizes and times as people write them."""
    assert answers.status_text(STATUS).splitlines() == [
        "name           worker",
        "verdict        none so far",
        "state          watching",
        "backend        cgroup",
        "pid            4242",
        "command        python3",
        "elapsed        12.5s",
        "current        100M",
        "working set    80M",
        "anon           64M",
        "peak           120M (working set 90M)",
        "limit          200M of workingset",
        "hard limit     300M",
        "grace          3s",
        "high events    7 counted, 5 ignored",
        "growth         +10M/s",
        "time to limit  12s",
        "pressure       some 1.5%, full 0.2%",
    ]


def test_with_several_runs_the_first_line_says_so() -> None:
    """Before everything else, so that nobody mistakes one run for another."""
    assert answers.status_text(STATUS, 3).splitlines()[:2] == [
        "1 of 3 runs, see: sentinel ls",
        "name           worker",
    ]


def test_what_nobody_knows_is_unknown_and_never_zero() -> None:
    """In the lines; what cannot be measured at all has no line."""
    lines = dict(line.split(None, 1) for line in answers.status_text(NOBODY_KNOWS).splitlines())
    assert lines["current"] == lines["anon"] == lines["growth"] == "unknown"
    assert lines["peak"] == "unknown (working set unknown)"
    assert lines["time"] == "to limit  unknown"
    assert "pressure" not in lines


def test_a_run_that_shrinks_has_no_time_to_its_limit() -> None:
    """And one that stands still neither."""
    for growth, shown in ((-2.0 * MIB, "-2M/s"), (0.0, "0B/s")):
        lines = answers.status_text(STATUS._replace(growth=growth)).splitlines()
        assert f"growth         {shown}" in lines
        assert "time to limit  does not grow" in lines


def test_a_frozen_run_and_a_verdict_are_shown() -> None:
    """Beside the state, which is the escalation's."""
    status = STATUS._replace(frozen=True, state="terminating", verdict="soft-limit")
    lines = answers.status_text(status).splitlines()
    assert "state          terminating, frozen" in lines
    assert "verdict        soft-limit" in lines


def test_a_name_cannot_move_the_cursor() -> None:
    """What comes from outside is escaped in every line."""
    status = STATUS._replace(command="a\x1b[2J\nb\udcff")
    assert "command        a\\x1b[2J\\nb\\udcff" in answers.status_text(status).splitlines()


def test_the_document_of_a_status() -> None:
    """Bytes and seconds, nothing rounded."""
    limits = Limits(200 * MIB, None, 0, 10, 1.5, Count.ANON)
    status = STATUS._replace(limits=limits, verdict="timeout")
    assert answers.status_document(status, 1000, 2) == {
        "schema": 1,
        "name": "worker",
        "state": "watching",
        "verdict": "timeout",
        "backend": "cgroup",
        "pid": 4242,
        "leaf": "/sys/fs/cgroup/sentinel-run-worker",
        "command": "python3",
        "uid": 1000,
        "started": 1700000000.5,
        "elapsed": 12.5,
        "frozen": False,
        "memory": {
            "current": 100 * MIB,
            "working_set": 80 * MIB,
            "anon": 64 * MIB,
            "composition": {
                "anon": 64 * MIB,
                "file": 20 * MIB,
                "shmem": 0,
                "kernel": 8 * MIB,
                "sock": 0,
                "other": 8 * MIB,
            },
            "tasks": 3,
        },
        "peak": {"current": 120 * MIB, "working_set": 90 * MIB},
        "limits": {
            "soft": 200 * MIB,
            "hard": None,
            "swap": 0,
            "pids": 10,
            "cpus": 1.5,
            "count": "anon",
        },
        "grace": 3.0,
        "high_events": {"counted": 7, "ignored": 5},
        "growth": 10.0 * MIB,
        "time_to_limit": 13.6,
        "pressure": {"some": 1.5, "full": 0.25},
        "runs": 2,
    }


def test_the_document_says_null_where_nobody_knows() -> None:
    """Memory as a whole, each of its parts, growth, pressure, leaf and verdict."""
    document = answers.status_document(NOBODY_KNOWS, 0)
    nulls = {key for key, value in document.items() if value is None}
    assert nulls == {"verdict", "leaf", "memory", "growth", "time_to_limit", "pressure"}
    assert document["peak"] == {"current": None, "working_set": None}
    partly = NOBODY_KNOWS._replace(reading=Reading(0.0, 5, None))
    assert answers.status_document(partly, 0)["memory"] == {
        "current": 5,
        "working_set": None,
        "anon": None,
        "composition": None,
        "tasks": None,
    }


def test_the_document_of_metrics() -> None:
    """The status, and the guard's own counters."""
    actions = Actions({"lift": 2}, (0.03,), (1.5, 2.5))
    document = answers.metrics_document({"name": "worker"}, actions)
    assert document == {
        "schema": 1,
        "status": {"name": "worker"},
        "actions": {"lift": 2},
        "reactions": [0.03],
        "terminations": [1.5, 2.5],
    }


def test_events_are_one_line_each() -> None:
    """What, when, how much, and what state the run is in when it is told."""
    moment = Moment(1.5, "asked to stop", "2 asked", 300 * MIB)
    assert json.loads(answers.event_line(STATUS, moment, (77.25, 1700000014.0))) == {
        "at": 1.5,
        "monotonic": 77.25,
        "time": 1700000014.0,
        "name": "worker",
        "event": "asked to stop",
        "detail": "2 asked",
        "current": 300 * MIB,
        "state": "watching",
    }
    assert json.loads(answers.hello_line(STATUS)) == {
        "schema": 1,
        "event": "hello",
        "name": "worker",
        "state": "watching",
    }
    assert json.loads(answers.lost_line(12)) == {"event": "lost", "count": 12}
    assert json.loads(answers.over_line(OUTCOME, (97.0, 1700000034.0))) == {
        "event": "over",
        "verdict": "stopped",
        "name": "worker",
        "exit_status": 0,
        "at": 20.0,
        "monotonic": 97.0,
        "time": 1700000034.0,
        "asked_by": "uid 0",
    }


@given(st.text())
def test_every_document_is_one_line_of_ascii(text: str) -> None:
    """Whatever a name holds, lone surrogates included, and it comes back as it was."""
    line = answers.told(text, text, json=True)
    assert line.isascii()
    assert line.count("\n") == 1
    assert json.loads(line) == {"schema": 1, "name": text, "answer": text}


def test_errors_and_replies_have_two_forms() -> None:
    """A line, or a document with the same words."""
    assert answers.error_line("no", json=False) == "error: no\n"
    assert json.loads(answers.error_line("no", json=True)) == {"schema": 1, "error": "no"}
    assert answers.told("worker", "stopping", json=False) == "stopping\n"


def test_help_names_every_verb() -> None:
    """In both forms."""
    lines = answers.help_text(json=False).splitlines()
    assert [line.split()[0] for line in lines[:-1]] == list(VERBS)
    assert list(json.loads(answers.help_text(json=True))["verbs"]) == list(VERBS)

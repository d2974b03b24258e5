"""Answers of a socket: what is missing or wrong is unknown."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from sentinel.control import answers
from sentinel.dashboard import decode
from sentinel.dashboard.board import Happened, Process
from sentinel.model.outcome import Moment
from sentinel.model.status import RunStatus
from tests.dashboard.boards import status

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KEYS = """name state limits soft hard memory current working_set composition anon peak pressure some
full elapsed frozen processes pid parent rss omitted event at verdict error"""
keys = st.sampled_from(sorted(KEYS.split()))
documents = st.dictionaries(keys, values | st.dictionaries(keys, values))


def test_what_a_run_says_arrives() -> None:
    """The document of the control socket becomes the status that it was made of."""
    told = status("leaker", 100 << 20)
    text = answers.dumped(answers.status_document(told, 1000, 2))
    assert decode.status(decode.table(text)) == told


def test_what_a_run_does_not_know_stays_unknown() -> None:
    """No memory, no pressure, no growth, no hard limit."""
    told = status("x", 1 << 20)
    told = told._replace(
        reading=None, pressure=None, limits=told.limits._replace(hard=None, pids=None, cpus=None)
    )
    found = decode.status(answers.status_document(told, 1000))
    assert found == told


def test_an_error_is_no_status() -> None:
    """It is what it says."""
    answer = decode.table('{"error": "not permitted"}')
    assert decode.status(answer) is None
    assert decode.refusal(answer) == "not permitted"
    assert decode.table("error: not permitted") == {}
    assert decode.table("[1]") == {}


def test_events() -> None:
    """A moment, the greeting, lines that were lost, and the end."""
    line = decode.table(
        answers.event_line(status("x", 1 << 20), Moment(1.5, "soft crossed", "why", 7), (1.0, 2.0))
    )
    assert decode.happened(line) == Happened(1.5, "soft crossed", "why", 7)
    assert decode.verdict(line) is None
    assert decode.happened(decode.table(answers.hello_line(status("x", 1)))) is None
    lost = decode.happened(decode.table(answers.lost_line(12)))
    assert lost == Happened(0.0, "lost", "12 lines, read too slowly")
    over = {"event": "over", "verdict": "soft-limit", "at": 3.0}
    assert decode.happened({**over}) == Happened(3.0, "over", "soft-limit")
    assert decode.verdict({**over}) == "soft-limit"


def test_processes() -> None:
    """Rows that are none are left out, numbers that are none are unknown."""
    answer = decode.table(
        '{"processes": [{"pid": 7, "parent": 1, "name": "sh", "state": "S", "rss": 4096,'
        ' "threads": 2}, {"pid": 8, "rss": "much"}, 3], "omitted": 5}'
    )
    rows = (Process(7, 1, "sh", "S", 4096, 2), Process(8, 0, "", "", None, None))
    assert decode.processes(answer) == (rows, 5)


@given(documents)
def test_any_document(document: dict[str, object]) -> None:
    """Nothing that a socket can answer is an error here; no number is absurd."""
    answer = decode.table(json.dumps(document))
    decode.refusal(answer)
    decode.happened(answer)
    decode.verdict(answer)
    rows, omitted = decode.processes(answer)
    assert omitted >= 0
    assert all(row.rss is None or row.rss >= 0 for row in rows)
    found = decode.status(answer)
    assert found is None or isinstance(found, RunStatus)
    if found is not None and found.reading is not None:
        assert 0 <= found.reading.current < 1 << 63


@given(st.text())
def test_any_text(text: str) -> None:
    """What is no JSON object is an empty one."""
    assert isinstance(decode.table(text), dict)
    assert decode.table("[" * 100_000) == {}

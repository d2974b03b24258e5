"""The words of the control socket: what a line asks, and what is answered to one that does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.control.codec import (
    LONGEST_QUOTE,
    VERBS,
    Malformed,
    Question,
    nearest,
    parse_line,
    quoted,
)
from sentinel.model.request import Freeze, Kill, Reclaim, SetGrace, SetLimit, Stop, Thaw

MIB = 1 << 20


@pytest.mark.parametrize(
    ("line", "question"),
    [
        (b"status\n", Question("status", "status")),
        (b"status", Question("status", "status")),
        (b"  status \r\n", Question("status", "status")),
        (b"status json\n", Question("status", "status json", json=True)),
        (b"status worker\n", Question("status", "status worker", name="worker")),
        (b"status my job json\n", Question("status", "status my job json", True, "my job")),
        (b"stop\n", Question("stop", "stop", request=Stop())),
        (b"kill worker\n", Question("kill", "kill worker", name="worker", request=Kill())),
        (b"freeze\n", Question("freeze", "freeze", request=Freeze())),
        (b"thaw json\n", Question("thaw", "thaw json", json=True, request=Thaw())),
        (b"limit 200M\n", Question("limit", "limit 200M", request=SetLimit(200 * MIB))),
        (b"limit 1.5G w\n", Question("limit", "limit 1.5G w", False, "w", SetLimit(1536 * MIB))),
        (b"grace 250ms\n", Question("grace", "grace 250ms", request=SetGrace(0.25))),
        (b"grace 3 json\n", Question("grace", "grace 3 json", True, request=SetGrace(3.0))),
        (b"reclaim\n", Question("reclaim", "reclaim", request=Reclaim())),
        (b"reclaim 4096\n", Question("reclaim", "reclaim 4096", request=Reclaim(4096))),
        (b"uid=1001 stop\n", Question("stop", "stop", request=Stop(), behalf=1001)),
        (b"uid=0 tree w json\n", Question("tree", "tree w json", True, "w", behalf=0)),
        ("status größe\n".encode(), Question("status", "status größe", name="größe")),
    ],
)
def test_a_line_asks_one_question(line: bytes, question: Question) -> None:
    """Verb, argument, name and form are told apart, whatever the line ends with."""
    assert parse_line(line) == question


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"\n", "the line is empty; say help for the verbs"),
        (b" \t \n", "the line is empty; say help for the verbs"),
        (b"uid=5\n", "the line is empty; say help for the verbs"),
        (b"statsu\n", "unknown verb 'statsu'; did you mean status?"),
        (b"STOP\n", "unknown verb 'STOP'; did you mean stop?"),
        (b"r\n", "unknown verb 'r'; did you mean reclaim?"),
        (b"GET / HTTP/1.1\r\n", "unknown verb 'GET'; say help for the verbs"),
        (b"json\n", "unknown verb 'json'; say help for the verbs"),
        (b"ping me\n", "ping takes no argument, got 'me'; write: ping"),
        (b"events worker\n", "events takes no argument, got 'worker'; write: events"),
        (b"limit\n", "limit needs an argument; write: limit 200M"),
        (b"grace json\n", "grace needs an argument; write: grace 3s"),
        (b"limit much\n", "'much' is not a size; write it like 200M, 1.5G or 1048576"),
        (b"limit 50%\n", "limit takes no percentage, got '50%'; write a size, like limit 200M"),
        (b"limit 1K\n", "a limit of '1K' is too small for any program; 1M is least"),
        (b"limit -1\n", "'-1' is not a size; write it like 200M, 1.5G or 1048576"),
        (
            b"limit 9999999T\n",
            "size '9999999T' is beyond what the kernel can count; use at most 8388607T",
        ),
        (b"grace soon\n", "'soon' is not a duration; write it like 3s, 250ms, 5m or 2h"),
        (b"reclaim all\n", "'all' is not a size; write it like 200M, 1.5G or 1048576"),
        (b"uid=x stop\n", "'x' is no uid; write it like uid=1000"),
        (b"uid=-1 stop\n", "'-1' is no uid; write it like uid=1000"),
        (b"sto\0p\n", "the line 'sto\\x00p' has a NUL in it; write it as text, like stop"),
        (b"stat\xff\n", "the line 'stat\\xff' is not UTF-8; write it as text, like status"),
        (
            b"\xff\xfe\n",
            "the line '\\xff\\xfe' is not UTF-8; write it as text, say help for the verbs",
        ),
        (b"\x1b[2Jstop\n", "unknown verb '\\x1b[2Jstop'; say help for the verbs"),
        (b"limit {0}%s\n", "'{0}%s' is not a size; write it like 200M, 1.5G or 1048576"),
    ],
)
def test_a_line_that_asks_nothing_is_told_why(line: bytes, answer: str) -> None:
    """One line: what is wrong, and the nearest verb where there is one."""
    with pytest.raises(Malformed) as caught:
        parse_line(line)
    assert str(caught.value) == answer


def test_the_error_comes_in_the_form_that_was_asked_for() -> None:
    """A last word `json` counts even when the rest makes no sense."""
    for line, json in ((b"limit much json\n", True), (b"limit much\n", False), (b"x json\n", True)):
        with pytest.raises(Malformed) as caught:
            parse_line(line)
        assert caught.value.json is json


@given(st.binary(max_size=5000))
def test_any_bytes_are_a_question_or_a_short_printable_complaint(line: bytes) -> None:
    """Nothing else comes out of the codec, and no quote is long or can move a cursor."""
    try:
        question = parse_line(line)
    except Malformed as error:
        text = str(error)
        assert text.isprintable()
        assert len(text) < 4 * LONGEST_QUOTE + 120
    else:
        assert question.verb in VERBS


@given(
    st.sampled_from(sorted(VERBS)),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=4),
)
def test_words_after_a_verb_are_a_question_or_a_complaint(verb: str, words: list[str]) -> None:
    """And what is passed on to another run asks the same question there."""
    try:
        question = parse_line(" ".join([verb, *words]).encode())
    except Malformed:
        return
    assert parse_line(question.plain.encode()) == question


@given(st.text(max_size=200))
def test_a_quote_is_short_and_printable(text: str) -> None:
    """However long and odd what is quoted is."""
    assert quoted(text).isprintable()
    assert len(quoted(text)) <= 10 * LONGEST_QUOTE + 5


def test_the_nearest_verb_is_a_beginning_or_a_misspelling() -> None:
    """Two letters may be wrong, fewer in a short word; nothing is guessed beyond that."""
    words = ("stat", "statos", "sttaus", "kil", "ilkl", "evnts", "pong", "hlep", "tre", "xyz", "")
    found = [nearest(word) for word in words]
    assert found == [
        *("status", "status", "status", "kill", "kill", "events", "ping", "help", "tree", "", ""),
    ]

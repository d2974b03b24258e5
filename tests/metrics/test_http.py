"""As much of HTTP as a scrape needs, and what is not HTTP."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.metrics.http import Refusal, answer, parse_request, refused


def test_a_request_is_taken_apart() -> None:
    """Method, decoded path, every value of the query, headers by lower-case name."""
    found = parse_request(
        b"GET /met%72ics?with=a&with=b%20c&x HTTP/1.1\r\nHost: h\r\nACCEPT:  text/plain \r\n"
        b"Accept: */*\r\n\r\n"
    )
    assert found.method == "GET"
    assert found.path == "/metrics"
    assert found.query == {"with": ["a", "b c"], "x": [""]}
    assert found.headers == {"host": "h", "accept": "text/plain, */*"}


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"", 400),
        (b"\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET /metrics\r\n\r\n", 400),
        (b"GET  /metrics HTTP/1.1\r\n\r\n", 400),
        (b"G\xc3\x84T / HTTP/1.1\r\n\r\n", 400),
        (b"GET metrics HTTP/1.1\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET / ICY\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n: empty\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nna me: x\r\n\r\n", 400),
        (b"GET /?" + b"a=1&" * 200 + b" HTTP/1.1\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_is_refused(head: bytes, status: int) -> None:
    """Each with the status that says why; TLS on a plain port too."""
    with pytest.raises(Refusal) as caught:
        parse_request(head)
    assert caught.value.status == status


@given(st.binary())
def test_no_bytes_can_hurt(head: bytes) -> None:
    """A request or a refusal, never anything else."""
    for text in (head, b"GET " + head + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n" + head):
        with contextlib.suppress(Refusal):
            parse_request(text)


def test_an_answer_says_how_long_it_is_and_closes() -> None:
    """One answer for each connection."""
    assert answer(200, b"body\n") == (
        b"HTTP/1.1 200 OK\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: 5\r\n"
        b"X-Content-Type-Options: nosniff\r\n"
        b"Connection: close\r\n\r\nbody\n"
    )
    assert answer(200, b"body\n", head_only=True).endswith(b"close\r\n\r\n")


def test_a_refusal_says_why_and_what_is_allowed() -> None:
    """405 names the methods that are."""
    told = refused(Refusal(405, "use GET"))
    assert told.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert b"Allow: GET, HEAD\r\n" in told
    assert told.endswith(b"\r\n\r\nuse GET\n")

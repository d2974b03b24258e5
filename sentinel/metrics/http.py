"""As much of HTTP/1.1 (RFC 9112) as a scrape needs: bytes to a request, an answer to bytes.

Pure. One request for each connection, which is closed after the answer; bodies are not read.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qs, unquote

LONGEST_HEAD = 8192
"""Bytes of request line and headers together."""

_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
TEXT = "text/plain; charset=utf-8"


class Refusal(Exception):
    """A request that gets an error as its answer: a status, and a line that says why."""

    def __init__(self, status: int, why: str) -> None:
        """`status` is one of HTTP's, 400 and above."""
        super().__init__(why)
        self.status = status
        self.why = why


class Request(NamedTuple):
    """`path` is decoded; `query` has every value of each name; header names are lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]


def parse_request(head: bytes) -> Request:
    """Read everything up to the empty line. Raises Refusal."""
    lines = head.replace(b"\r\n", b"\n").split(b"\n")
    words = lines[0].split(b" ")
    if len(words) != 3 or not words[0] or not set(words[0]) <= _TOKEN:
        raise Refusal(400, "this is no HTTP request")
    method, target, version = words
    if not version.startswith(b"HTTP/1."):
        raise Refusal(505, "use HTTP/1.1")
    if not target.startswith(b"/") or not target.isascii():
        raise Refusal(400, "the request target is no path")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        if not line:
            break
        name, colon, value = line.partition(b":")
        if not colon or not name or not set(name) <= _TOKEN:
            raise Refusal(400, "a header is malformed")
        key, text = name.decode("ascii").lower(), value.strip().decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    path, _, query = target.decode("ascii").partition("?")
    try:
        found = parse_qs(query, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise Refusal(400, "the query has too many fields") from None
    return Request(method.decode("ascii"), unquote(path), found, headers)


def answer(status: int, body: bytes, content_type: str = TEXT, *, head_only: bool = False) -> bytes:
    """The whole answer; `head_only` leaves out the body that the headers tell of."""
    allow = "Allow: GET, HEAD\r\n" if status == 405 else ""
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\n"
        f"Content-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"{allow}"
        "X-Content-Type-Options: nosniff\r\n"
        "Connection: close\r\n"
        "\r\n"
    )
    return head.encode("latin-1") + (b"" if head_only else body)


def refused(refusal: Refusal) -> bytes:
    """The answer to a request that was refused."""
    return answer(refusal.status, f"{refusal.why}\n".encode())

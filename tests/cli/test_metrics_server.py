"""The exporter's HTTP server and its questions to guards, on real sockets, with rude peers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sentinel.metrics import inquiry, server
from sentinel.metrics.collector import Page
from sentinel.metrics.http import LONGEST_HEAD
from sentinel.metrics.inquiry import Inquirer
from sentinel.metrics.server import MOST_CONNECTIONS, Server

PATIENCE = 60.0
PAGE = Page(b"sentinel_build_info 1\n", "text/plain; version=0.0.4")
GET = b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n"
Play = Callable[[int], Awaitable[None]]


async def _page(wanted: frozenset[str], accept: str) -> Page:
    assert accept in ("", "text/plain")
    return PAGE._replace(body=PAGE.body + ",".join(sorted(wanted)).encode())


def played(play: Play, scrape: server.Scrape = _page) -> None:
    """Let `play` happen with a server at the port that it is given."""

    async def act() -> None:
        served = await asyncio.start_server(
            Server(scrape).serve, "127.0.0.1", 0, limit=LONGEST_HEAD, backlog=256
        )
        async with served:
            port = served.sockets[0].getsockname()[1]
            async with asyncio.timeout(PATIENCE):
                await play(port)

    asyncio.run(act())


async def said(port: int, request: bytes, *, ends: bool = False) -> bytes:
    """What the server answers to `request` until it closes; `ends`: nothing more is sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        if ends:
            writer.write_eof()
        return await reader.read()
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /metrics HTTP/1.1", b"200 OK"),
        (b"GET /metrics?with=tcp_sockets HTTP/1.1", b"200 OK"),
        (b"GET / HTTP/1.0", b"200 OK"),
        (b"GET /metrics?with=everything HTTP/1.1", b"400 Bad Request"),
        (b"GET /other HTTP/1.1", b"404 Not Found"),
        (b"POST /metrics HTTP/1.1", b"405 Method Not Allowed"),
        (b"GET /metrics HTTP/3", b"505 HTTP Version Not Supported"),
        (b"nonsense", b"400 Bad Request"),
        (b"\x16\x03\x01\x00\xff", b"400 Bad Request"),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 2 * LONGEST_HEAD, b"431 Request Header"),
    ],
)
def test_every_request_has_its_answer(request_line: bytes, status: bytes) -> None:
    """Pages, and what is wrong with everything else."""

    async def play(port: int) -> None:
        answer = await said(port, request_line + b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 " + status), answer
        assert answer.count(b"\r\n\r\n") == 1

    played(play)


def test_head_has_the_length_and_no_body() -> None:
    """As for GET."""

    async def play(port: int) -> None:
        answer = await said(port, b"HEAD /metrics HTTP/1.1\r\nAccept: text/plain\r\n\r\n")
        assert answer.endswith(b"\r\n\r\n")
        assert b"Content-Length: %d\r\n" % len(PAGE.body) in answer

    played(play)


def test_a_body_that_nobody_reads_does_not_take_the_answer_back() -> None:
    """A client may send more than the request before it reads."""

    async def play(port: int) -> None:
        assert PAGE.body in await said(port, GET + b"x" * 1000)

    played(play)


def test_a_request_that_is_cut_is_refused() -> None:
    """Its end comes before the empty line."""

    async def play(port: int) -> None:
        answer = await said(port, b"GET /metrics HTTP/1.1\r\n", ends=True)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert await said(port, b"", ends=True) == b""

    played(play)


def test_a_client_that_dawdles_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are served meanwhile; it gets 408."""
    monkeypatch.setattr(server, "ASKING", 0.2)

    async def play(port: int) -> None:
        slow = asyncio.create_task(said(port, b"GET /met"))
        assert (await said(port, GET)).startswith(b"HTTP/1.1 200 ")
        assert (await slow).startswith(b"HTTP/1.1 408 ")

    played(play)


async def _drained(sock: socket.socket) -> int:
    """How many bytes arrive until the end."""
    total = 0
    while data := await asyncio.get_running_loop().sock_recv(sock, 1 << 20):
        total += len(data)
    return total


def test_a_client_that_does_not_read_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its buffers are full: after a while its page is cut, and the next one is served."""
    monkeypatch.setattr(server, "TAKING", 0.2)
    whole = 64 << 20
    ended = asyncio.Event()

    async def big(wanted: frozenset[str], accept: str) -> Page:
        del wanted, accept
        return PAGE._replace(body=b"x" * whole)

    one = Server(big)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await one.serve(reader, writer)
        ended.set()

    async def act() -> None:
        served = await asyncio.start_server(serve, "127.0.0.1", 0, limit=LONGEST_HEAD)
        async with served, asyncio.timeout(PATIENCE):
            loop, port = asyncio.get_running_loop(), served.sockets[0].getsockname()[1]
            with socket.socket() as deaf:
                deaf.setblocking(False)
                await loop.sock_connect(deaf, ("127.0.0.1", port))
                await loop.sock_sendall(deaf, GET)
                await ended.wait()
                assert one.connected == 0
                with contextlib.suppress(ConnectionResetError):
                    assert 0 < await _drained(deaf) < whole
            assert (await said(port, b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200 ")

    asyncio.run(act())


def test_too_many_clients_are_told_so() -> None:
    """The 65th is sent away at once, and the others are served when they speak."""

    async def play(port: int) -> None:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS)]
        assert (await said(port, GET)).startswith(b"HTTP/1.1 503 ")
        for _, writer in silent[1:]:
            writer.transport.abort()
        reader, writer = silent[0]
        writer.write(GET)
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.transport.abort()
        while not (await said(port, GET)).startswith(b"HTTP/1.1 200 "):
            pass

    played(play)


def test_a_page_that_cannot_be_made_is_an_error_and_no_silence() -> None:
    """500 with the kind of error; the next request is answered."""

    async def fails(wanted: frozenset[str], accept: str) -> Page:
        del wanted, accept
        raise FileNotFoundError("secret path")

    async def play(port: int) -> None:
        for _ in range(2):
            answer = await said(port, GET)
            assert answer.startswith(b"HTTP/1.1 500 ")
            assert answer.endswith(b"internal error: FileNotFoundError\n")

    played(play, fails)


DOCUMENT = {"schema": 1, "status": {"state": "watching"}}


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    assert await reader.readline() == b"metrics json\n"
    writer.write(json.dumps(DOCUMENT).encode() + b"\n")
    writer.close()


async def _hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        await reader.read()
    writer.transport.abort()


async def _floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader
    with contextlib.suppress(OSError):
        while not writer.is_closing():
            writer.write(b"x" * 65536)
            await writer.drain()


async def _refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b'{"error": "not permitted"}\n')
    writer.close()


async def _vanishes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader
    writer.transport.abort()


def test_guards_are_asked_at_once_and_waited_for_no_longer_than_the_deadline(
    tmp_path: Path,
) -> None:
    """One that hangs, floods, refuses or is gone costs nobody else's answer."""
    peers = {
        "good": _answers,
        "hangs": _hangs,
        "floods": _floods,
        "no": _refuses,
        "gone": _vanishes,
    }

    async def act() -> None:
        served = [
            await asyncio.start_unix_server(peer, tmp_path / name) for name, peer in peers.items()
        ]
        paths = {str(tmp_path / name) for name in (*peers, "missing")}
        inquirer = Inquirer()
        async with asyncio.timeout(PATIENCE):
            assert await inquirer.ask(paths, deadline=4.0) == {str(tmp_path / "good"): DOCUMENT}
            await inquirer.close()
        for one in served:
            one.close()

    asyncio.run(act())


def test_an_answer_that_is_late_is_told_next_time(tmp_path: Path) -> None:
    """The guard is not asked twice meanwhile, and its rows do not flicker."""
    path = str(tmp_path / "late")
    asked: list[bytes] = []
    closed: list[asyncio.StreamWriter] = []
    go = asyncio.Event()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        await go.wait()
        writer.write(json.dumps(DOCUMENT).encode() + b"\n")
        writer.close()
        closed.append(writer)

    async def act() -> None:
        async with await asyncio.start_unix_server(late, path), asyncio.timeout(PATIENCE):
            inquirer = Inquirer()
            assert await inquirer.ask({path}, deadline=0.05) == {}
            assert await inquirer.ask({path}, deadline=0.05) == {}
            go.set()
            while not await inquirer.ask({path}):
                pass
            assert len(asked) == 1
            go.clear()
            assert await inquirer.ask({path}, deadline=0.05) == {path: DOCUMENT}
            assert await inquirer.ask(set()) == {}
            go.set()
            while len(closed) < 2:
                await inquirer.ask({path})
            await inquirer.close()

    asyncio.run(act())


def test_a_guard_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is closed, and it is asked anew: no descriptor is lost to it."""
    monkeypatch.setattr(inquiry, "PATIENCE", 0.05)
    path = str(tmp_path / "hangs")

    async def act() -> None:
        async with await asyncio.start_unix_server(_hangs, path), asyncio.timeout(PATIENCE):
            inquirer = Inquirer()
            await inquirer.ask({path}, deadline=1.0)
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(5):
                assert await inquirer.ask({path}, deadline=1.0) == {}
            while len(os.listdir("/proc/self/fd")) > before + 1:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
            await inquirer.close()

    asyncio.run(act())

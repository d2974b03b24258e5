"""Serves /metrics to scrapers on an event loop: bounded in connections, bytes and time.

With nobody connected no timer is armed and nothing wakes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sentinel.metrics.collector import Page
from sentinel.metrics.http import (
    LONGEST_HEAD,
    Refusal,
    Request,
    answer,
    parse_request,
    refused,
)
from sentinel.metrics.onrequest import WORDS

MOST_CONNECTIONS = 64
"""Scrapers at a time; one more is told so and sent away."""
ASKING = 5.0
"""Seconds that a client has for its request."""
TAKING = 10.0
"""Seconds that a client has to take the answer."""
_INDEX = b"Sentinel's exporter: the metrics are at /metrics\n"

Scrape = Callable[[frozenset[str], str], Awaitable[Page]]
"""Makes a page of what was asked for and the `Accept` header."""


class Server:
    """Answers the connections that are handed to `serve`."""

    def __init__(self, scrape: Scrape) -> None:
        """`scrape` makes the page."""
        self._scrape = scrape
        self.connected = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one answer. Raises nothing: a client's trouble is its own."""
        self.connected += 1
        try:
            writer.write(await self._answer(reader))
            async with asyncio.timeout(TAKING):
                await writer.drain()
                writer.write_eof()
                # What the client still has to say is not read, but reset only after a while:
                # a close with unread bytes would take the answer back (RFC 9112, 9.6).
                await reader.read(LONGEST_HEAD)
                writer.close()
                await writer.wait_closed()
        except (OSError, EOFError):
            return  # it went, or it took too long
        finally:
            self.connected -= 1
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        if self.connected > MOST_CONNECTIONS:
            return refused(Refusal(503, f"more than {MOST_CONNECTIONS} connections: try again"))
        try:
            return await self._respond(await _request(reader))
        except Refusal as refusal:
            return refused(refusal)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 - told to whoever asked; the next scrape may work
            return refused(Refusal(500, f"internal error: {type(error).__name__}"))

    async def _respond(self, request: Request) -> bytes:
        if request.method not in ("GET", "HEAD"):
            raise Refusal(405, "use GET")
        head_only = request.method == "HEAD"
        if request.path == "/":
            return answer(200, _INDEX, head_only=head_only)
        if request.path != "/metrics":
            raise Refusal(404, "the metrics are at /metrics")
        wanted = frozenset(request.query.get("with", ()))
        if not wanted <= WORDS:
            raise Refusal(400, f"with= can be {' or '.join(sorted(WORDS))}")
        page = await self._scrape(wanted, request.headers.get("accept", ""))
        return answer(200, page.body, page.content_type, head_only=head_only)


async def _request(reader: asyncio.StreamReader) -> Request:
    try:
        async with asyncio.timeout(ASKING):
            head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise Refusal(431, f"the request is longer than {LONGEST_HEAD} bytes") from None
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            raise ConnectionResetError from None
        raise Refusal(400, "the request ends too early") from None
    except TimeoutError:
        raise Refusal(408, f"no request came within {ASKING:.0f} s") from None
    return parse_request(head)

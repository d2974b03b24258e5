"""Laws of the control server on real sockets: whatever clients send, in whatever pieces."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.control.stage import Stage

pytestmark = pytest.mark.native

PIECES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([b"status", b" json", b"\n", b"help", b"uid=0 ", b"x" * 3000, b"\0"]),
    ),
    max_size=6,
)
ONE_FOR_ALL = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
"""One server lives through all examples: that is what is tested."""


@ONE_FOR_ALL
@given(pieces=PIECES, half_close=st.booleans(), reads=st.booleans())
def test_any_pieces_are_answered_once_or_not_at_all(
    stage: Stage,
    pieces: list[bytes],
    half_close: bool,  # noqa: FBT001 - drawn
    reads: bool,  # noqa: FBT001 - drawn
) -> None:
    """An answer is whole lines; nothing is asked of the run; the next client is served."""
    data = b"".join(pieces)
    with stage.connect() as client:
        for piece in pieces:
            send(client, piece)
            stage.turn()
        if half_close:
            client.shutdown(socket.SHUT_WR)
        if reads and (b"\n" in data or half_close):
            answer = stage.answer(client)
            assert answer.endswith(b"\n") or not answer
            assert bool(answer) == bool(data)
    assert stage.ask("ping") == "pong\n"
    assert stage.run.requests == []
    stage.until("all to be forgotten", lambda: stage.server.deadline() is None)
    assert stage.heard == []


def send(client: socket.socket, piece: bytes) -> None:
    """Send, unless either side has closed."""
    with suppress(BrokenPipeError, ConnectionResetError):
        client.send(piece)


@ONE_FOR_ALL
@given(orders=st.lists(st.sampled_from(["connect", "say", "end", "vanish", "turn"]), max_size=40))
def test_clients_come_and_go_in_any_order(stage: Stage, orders: list[str]) -> None:
    """Nothing is left of them, and nobody is confused with another."""
    clients: list[socket.socket] = []
    for order in orders:
        if order == "connect":
            clients.append(stage.connect())
        elif order == "turn":
            stage.turn()
        elif clients and order == "say":
            send(clients[-1], b"ping\n")
        elif clients and order == "end":
            clients[-1].shutdown(socket.SHUT_WR)
        elif clients:
            clients.pop(0).close()
    for client in clients:
        send(client, b"ping\n")
        assert stage.answer(client) in (b"pong\n", b"")
        client.close()
    assert stage.ask("ping") == "pong\n"
    stage.until("all to be forgotten", lambda: stage.server.deadline() is None)

"""Sockets that are made to be handed on."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from sentinel.linux.listening import connect_unix, listen_tcp, listen_unix
from tests.cli.exporters import free_port


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "::"])  # noqa: S104
def test_a_port_is_listened_on(address: str) -> None:
    """Connections wait to be accepted from the first moment; the descriptor is ours alone."""
    if ":" in address and not os.path.exists("/proc/net/if_inet6"):
        address = "127.0.0.1"
    port = free_port()
    fd = listen_tcp(address, port)
    with socket.socket(fileno=fd) as listener:
        assert not os.get_inheritable(fd)
        near = "::1" if ":" in address else "127.0.0.1"
        with socket.create_connection((near, port)) as client:
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getpeername() == client.getsockname()


def test_a_port_that_is_taken_is_refused() -> None:
    """The errno tells; nothing is left open."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        before = os.listdir("/proc/self/fd")
        with pytest.raises(OSError, match="Address already in use") as caught:
            listen_tcp("127.0.0.1", other.getsockname()[1])
        assert caught.value.errno == errno.EADDRINUSE
        assert os.listdir("/proc/self/fd") == before


def test_a_port_is_free_again_while_old_connections_die() -> None:
    """An exporter that was killed leaves connections in TIME_WAIT behind."""
    with socket.create_server(("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = first.accept()
        accepted.close()  # the side that closes first is the one that waits
        client.close()
    os.close(listen_tcp("127.0.0.1", port))


@pytest.mark.parametrize("port", [65536, -1])
def test_a_port_out_of_range_is_an_error(port: int) -> None:
    """Whoever forgot to validate hears of it."""
    with pytest.raises(OverflowError):
        listen_tcp("127.0.0.1", port)


def test_a_door_is_its_users_alone(tmp_path: Path) -> None:
    """Mode 0600 from the first moment."""
    path = str(tmp_path / "door")
    with socket.socket(fileno=listen_unix(path)):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        fd = connect_unix(path)
        assert fd is not None
        assert not os.get_blocking(fd)
        os.close(fd)
    assert connect_unix(path) is None
    assert connect_unix(str(tmp_path / "none")) is None


def test_a_door_where_too_many_wait_is_as_good_as_closed(tmp_path: Path) -> None:
    """Nobody blocks in connect(2): whoever comes too early tries again."""
    path = str(tmp_path / "door")
    with socket.socket(fileno=listen_unix(path)) as door:
        door.listen(1)
        found = [connect_unix(path) for _ in range(5)]
        assert found.count(None) == 3
        for fd in found:
            if fd is not None:
                os.close(fd)


def test_what_is_there_is_not_replaced(tmp_path: Path) -> None:
    """A file, or a symlink to nowhere, in the door's place."""
    (tmp_path / "file").write_text("")
    os.symlink(tmp_path / "target", tmp_path / "link")
    for name in ("file", "link"):
        with pytest.raises(OSError, match="Address already in use"):
            listen_unix(str(tmp_path / name))
    assert not (tmp_path / "target").exists()

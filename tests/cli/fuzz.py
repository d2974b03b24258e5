"""Random lines at a live control socket, and what they cost its guard."""

from __future__ import annotations

import os
import random
import selectors
import socket
from typing import NamedTuple

from sentinel.control.codec import VERBS

AT_A_TIME = 32
PATIENCE = 60.0

_HARMLESS = sorted(VERBS.keys() - {"stop", "kill", "limit", "grace", "freeze", "events"})


class Weight(NamedTuple):
    """What a process has: bytes of memory (RssAnon), and descriptors."""

    memory: int
    descriptors: int


def weight(pid: int) -> Weight:
    """The weight of `pid` (proc(5))."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    memory = int(fields["RssAnon"].split()[0]) * 1024
    return Weight(memory, len(os.listdir(f"/proc/{pid}/fd")))


def random_line(dice: random.Random) -> bytes:
    """Bytes that a confused or hostile client might send; nothing that would change the run."""
    word = dice.choice(_HARMLESS).encode()
    at = dice.randrange(len(word))
    return dice.choice(
        (
            dice.randbytes(dice.randrange(200)) + b"\n",
            dice.randbytes(dice.randrange(4090, 4200)),
            word + b" " + dice.randbytes(8) + b"\n",
            word[:at] + dice.randbytes(1) + word[at + 1 :] + b"\n",
            word[:at],
            b"limit " + dice.randbytes(4).hex().encode() + b"x%\n",
            word * dice.randrange(1, 50) + b" json\r\n",
            word + dice.choice((b"", b" json")) + b"\n",
        )
    )


def assault(path: str, lines: int, seed: int) -> int:
    """Send `lines` random lines to the socket `path`, one connection each; how many were answered.

    Some clients close their half, some vanish without reading, and the others read to the end.
    Raises AssertionError when nothing happens any more.
    """
    dice = random.Random(seed)
    answered, begun = 0, 0
    with selectors.DefaultSelector() as selector:
        while begun < lines or selector.get_map():
            while begun < lines and len(selector.get_map()) < AT_A_TIME:
                client = _sent(path, random_line(dice), half_close=dice.random() < 0.5)
                begun += 1
                if dice.random() < 0.1:
                    client.close()
                else:
                    selector.register(client, selectors.EVENT_READ, [b""])
            found = selector.select(PATIENCE)
            assert found, f"nobody was answered for {PATIENCE} s after {begun} lines"
            for key, _ in found:
                answered += _read(selector, key)
    return answered


def _sent(path: str, data: bytes, *, half_close: bool) -> socket.socket:
    """A connection over which `data` was sent."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(PATIENCE)
    client.connect(path)
    try:
        client.sendall(data)
        if half_close or not data.endswith(b"\n"):
            client.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused before all was sent: the answer is there all the same
    return client


def _read(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> bool:
    """Take in what is there; True when that was the end of an answer of whole lines."""
    client = key.fileobj
    assert isinstance(client, socket.socket)
    try:
        data = client.recv(65536)
    except ConnectionResetError:
        data = b""
    if data:
        key.data[0] = data[-1:]
        return False
    selector.unregister(client)
    client.close()
    return bool(key.data[0] == b"\n")

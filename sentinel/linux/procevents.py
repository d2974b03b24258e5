"""Forks as the kernel tells them: the proc connector (drivers/connector/cn_proc.c).

Needs CAP_NET_ADMIN and the initial pid and network namespaces. An aid only: it may overrun and
then says nothing about what was lost, so whoever listens must be able to do without.

pyroute2 has the message classes. Its own ProcEventSocket has a 1 MiB buffer and dies of a burst
of 1 500 processes, and its decoder takes 95 us a message; so the socket here is our own, and the
classes are asked once for their layout, which decodes in 1 us.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import socket

_INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""Inode of /proc/self/ns/pid (include/linux/proc_ns.h, PROC_PID_INIT_INO)."""
_NETLINK_CONNECTOR = 11
_SO_RCVBUFFORCE = 33
_BUFFER = 8 << 20
"""Bytes: some ten thousand messages between two drains."""
_LONGEST = 512
MOST = 5000
"""Messages taken in one drain, 20 ms; where there are more, following them is too dear."""
ANSWER_WITHIN = 1.0
"""Seconds. A kernel that filters (6.6) filters its own answer out: there, silence is no news."""


class FeedLost(Exception):
    """Forks are not told any longer, or never were; the text says why."""


class Layout(NamedTuple):
    """What is taken from pyroute2's classes."""

    message: struct.Struct
    what: int
    parent_tgid: int
    child_pid: int
    child_tgid: int
    fork_event: int
    registration: bytes
    """`what` and the three after it are places in an unpacked message."""


def permitted() -> bool:
    """Whether it can work at all: root in the initial pid namespace."""
    try:
        return os.geteuid() == 0 and os.stat("/proc/self/ns/pid").st_ino == _INITIAL_PID_NAMESPACE
    except OSError:
        return False


class ForkFeed:
    """Every fork on this machine, as (parent, child) process numbers."""

    def __init__(self, now: float) -> None:
        """Open the socket and ask to be told. Raises FeedLost.

        `answered` once anything was told: until then silence means nothing.
        """
        self._filtered = kernel_filters()
        self._layout = load_layout(filtered=self._filtered)
        self._began = now
        self.answered = False
        try:
            self._socket = _open(self._layout.registration)
        except OSError as error:
            raise FeedLost(f"process events: {os.strerror(error.errno or 0)}") from error

    def drain(self, now: float) -> list[tuple[int, int]]:
        """Forks since the last drain; never waits. Raises FeedLost."""
        forks: list[tuple[int, int]] = []
        for _ in range(MOST):
            message = self._receive()
            if message is None:
                if not (self.answered or self._filtered) and now - self._began >= ANSWER_WITHIN:
                    raise FeedLost("process events: the kernel does not answer")
                return forks
            self._take(message, forks)
        raise FeedLost(f"process events: more than {MOST} at once")

    def _receive(self) -> bytes | None:
        try:
            message, sender = self._socket.recvfrom(_LONGEST)
        except BlockingIOError:
            return None
        except OSError as error:
            lost = error.errno == errno.ENOBUFS
            why = "some were lost" if lost else os.strerror(error.errno or 0)
            raise FeedLost(f"process events: {why}") from error
        return message if sender[0] == 0 else b""  # 0 is the kernel

    def _take(self, message: bytes, forks: list[tuple[int, int]]) -> None:
        layout = self._layout
        if len(message) < layout.message.size:
            return
        self.answered = True
        fields = layout.message.unpack_from(message)
        if fields[layout.what] == layout.fork_event:
            child = fields[layout.child_tgid]
            if fields[layout.child_pid] == child:  # else it is a thread
                forks.append((fields[layout.parent_tgid], child))

    def close(self) -> None:
        """Close the socket; the kernel forgets the registration with it."""
        self._socket.close()


def _open(registration: bytes) -> socket.socket:
    import socket

    connector = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_CONNECTOR)
    try:
        connector.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        connector.setblocking(False)
        connector.bind((0, 1))  # the kernel chooses the port; group CN_IDX_PROC
        connector.send(registration)
    except OSError:
        connector.close()
        raise
    return connector


def kernel_filters() -> bool:
    """Whether this kernel knows struct proc_input (Linux 6.6)."""
    numbers = os.uname().release.split("-")[0].split(".")[:2]
    return all(map(str.isdigit, numbers)) and tuple(map(int, numbers)) >= (6, 6)


def load_layout(*, filtered: bool) -> Layout:
    """Read sizes, places and constants off pyroute2's message classes. Raises FeedLost."""
    try:
        classes = _import_message_classes()
        fork = classes.proc_event_fork
        fields = (*fork.header, *fork.fields)
        names = [name for name, _ in fields]
        return Layout(
            message=struct.Struct("=" + "".join(code for _, code in fields)),
            what=names.index("what"),
            parent_tgid=names.index("parent_tgid"),
            child_pid=names.index("child_pid"),
            child_tgid=names.index("child_tgid"),
            fork_event=classes.PROC_EVENT_FORK,
            registration=_registration(classes, filtered=filtered),
        )
    except (ImportError, AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
        raise FeedLost(f"process events: this pyroute2 does not fit: {error!r}") from error


def _registration(classes: Any, *, filtered: bool) -> bytes:  # noqa: ANN401 - an untyped module
    """The request to be told; `filtered` (Linux 6.6) is for forks alone (struct proc_input)."""
    request = classes.proc_event_control
    if filtered:
        fields = (*request.fields, ("event_type", "I"))
        request = type("proc_event_filter", (request,), {"fields": fields})
    message = request()
    message["header"]["type"] = 3  # NLMSG_DONE
    message["idx"] = classes.CN_IDX_PROC
    message["val"] = classes.CN_VAL_PROC
    message["action"] = classes.PROC_CN_MCAST_LISTEN
    message["len"] = 8 if filtered else 4
    if filtered:
        message["event_type"] = classes.PROC_EVENT_FORK
    message.encode()
    return bytes(message.data)


def _import_message_classes() -> Any:  # noqa: ANN401 - an untyped module
    """pyroute2.netlink.connector.cn_proc without the rest of the library.

    `import pyroute2` takes 270 ms and 25 MB, which a guard that promises 25 MB in all and an
    answer at any time does not have. The package's own __init__ and its socket module (asyncio,
    ssl) are stood in for while the message classes load, 30 ms and 3 MB, and everything is taken
    out of sys.modules again, so that nobody else meets the stand-ins.
    """
    import importlib
    import importlib.machinery
    import sys
    from types import ModuleType

    spec = importlib.machinery.PathFinder.find_spec("pyroute2")
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError("pyroute2 is not installed")
    package = ModuleType("pyroute2")
    package.__path__ = spec.submodule_search_locations
    sockets = ModuleType("pyroute2.netlink.nlsocket")
    vars(sockets).update(NetlinkSocket=object, Marshal=object)
    before = {name: module for name, module in sys.modules.items() if _is_pyroute2(name)}
    for name in before:
        del sys.modules[name]
    sys.modules.update({"pyroute2": package, "pyroute2.netlink.nlsocket": sockets})
    try:
        return importlib.import_module("pyroute2.netlink.connector.cn_proc")
    finally:
        for name in [name for name in sys.modules if _is_pyroute2(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def _is_pyroute2(name: str) -> bool:
    return name == "pyroute2" or name.startswith("pyroute2.")

"""D-Bus through libsystemd's own client, sd-bus(3): what systemctl and systemd-run speak, too.

The library is there wherever systemd is, and takes a launch a third of the time of a client in
Python. It is loaded by the first connection and never otherwise. Nothing here waits longer than
it is told to. Every argument is an integer or bytes that this room made; what comes back is text.
"""

import ctypes
import errno
import os
from typing import NamedTuple

_LIBRARY = "libsystemd.so.0"
_MICROSECONDS = 1_000_000
_MOST_WAIT = 3600.0
"""Seconds, so that the wait fits the type it is told in."""


class Call(NamedTuple):
    """Whom to call and what (sd_bus_message_new_method_call(3))."""

    destination: str
    path: str
    interface: str
    member: str


class Message(NamedTuple):
    """An answer or a signal.

    `answers` is the number that the call was sent under, 0 for a signal; `error` the D-Bus name of
    an error, empty for anything else; `texts` what of its body is a string, an object path or a
    boolean (`yes`, `no`).
    """

    answers: int
    member: str
    error: str
    texts: tuple[str, ...]


class Wide(int):
    """An integer of 64 bits (D-Bus type `t`), to be sent."""


class _Error(ctypes.Structure):
    """sd_bus_error(3)."""

    _fields_ = (("name", ctypes.c_char_p), ("message", ctypes.c_char_p), ("own", ctypes.c_int))


class Connection:
    """A client of the message bus at `address` (D-Bus Specification, Server Addresses)."""

    def __init__(self, address: str) -> None:
        """Connect; the login and Hello go on while messages are sent and awaited.

        Raises ImportError where there is no libsystemd, and OSError where nobody listens.
        """
        self._library = _load()
        self._bus = ctypes.c_void_p()
        _checked(self._library.sd_bus_new(ctypes.byref(self._bus)))
        try:
            _checked(self._library.sd_bus_set_address(self._bus, os.fsencode(address)))
            _checked(self._library.sd_bus_set_bus_client(self._bus, 1))
            _checked(self._library.sd_bus_negotiate_fds(self._bus, 0))
            _checked(self._library.sd_bus_start(self._bus))
        except OSError:
            self.close()
            raise

    def send(self, call: Call, signature: str = "", *values: str | int) -> int:
        """Send `call`; the number that its answer will name. Raises OSError.

        `values` are for sd_bus_message_append(3): the number of elements before each array's, the
        type before each variant's value; integers are of 32 bits unless they are Wide.
        """
        message = ctypes.c_void_p()
        names = (os.fsencode(name) for name in call)
        _checked(
            self._library.sd_bus_message_new_method_call(self._bus, ctypes.byref(message), *names)
        )
        try:
            if signature:
                append = self._library.sd_bus_message_append
                _checked(append(message, signature.encode(), *map(_argument, values)))
            cookie = ctypes.c_uint64()
            _checked(self._library.sd_bus_send(self._bus, message, ctypes.byref(cookie)))
            return cookie.value
        finally:
            self._library.sd_bus_message_unref(message)

    def receive(self, seconds: float) -> Message | None:
        """Work for as long as `seconds`; the next message, None when there is none yet.

        Raises OSError when the other side has hung up, refused the login or spoken something else.
        """
        message = ctypes.c_void_p()
        if _checked(self._library.sd_bus_process(self._bus, ctypes.byref(message))) == 0:
            limit = ctypes.c_uint64(int(min(seconds, _MOST_WAIT) * _MICROSECONDS))
            waited: int = self._library.sd_bus_wait(self._bus, limit)
            if waited != -errno.EINTR:
                _checked(waited)
            return None
        if not message.value:
            return None
        try:
            return self._understood(message)
        finally:
            self._library.sd_bus_message_unref(message)

    def _understood(self, message: ctypes.c_void_p) -> Message:
        library = self._library
        answers = ctypes.c_uint64()
        is_answer = library.sd_bus_message_get_reply_cookie(message, ctypes.byref(answers)) >= 0
        error = library.sd_bus_message_get_error(message)
        return Message(
            answers.value if is_answer else 0,
            _text(library.sd_bus_message_get_member(message)),
            _text(error.contents.name) if error else "",
            tuple(self._texts(message)),
        )

    def _texts(self, message: ctypes.c_void_p) -> list[str]:
        found: list[str] = []
        kind, contents, value = ctypes.c_char(), ctypes.c_char_p(), ctypes.c_char_p()
        flag = ctypes.c_int()
        while True:
            peek = self._library.sd_bus_message_peek_type
            if _checked(peek(message, ctypes.byref(kind), ctypes.byref(contents))) == 0:
                return found
            if kind.value == b"v":
                enter = self._library.sd_bus_message_enter_container
                _checked(enter(message, kind, contents))
            elif kind.value in (b"s", b"o"):
                read = self._library.sd_bus_message_read_basic
                _checked(read(message, kind, ctypes.byref(value)))
                found.append(_text(value.value))
            elif kind.value == b"b":
                _checked(self._library.sd_bus_message_read_basic(message, kind, ctypes.byref(flag)))
                found.append("yes" if flag.value else "no")
            else:
                _checked(self._library.sd_bus_message_skip(message, None))

    def close(self) -> None:
        """Hang up."""
        self._library.sd_bus_close_unref(self._bus)


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise ImportError(str(error)) from error
    library.sd_bus_message_get_error.restype = ctypes.POINTER(_Error)
    library.sd_bus_message_get_member.restype = ctypes.c_char_p
    library.sd_bus_close_unref.restype = ctypes.c_void_p
    library.sd_bus_message_unref.restype = ctypes.c_void_p
    return library


def _checked(result: int) -> int:
    """What a function of the library returned, unless it is minus an errno. Raises OSError."""
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def _argument(value: str | int) -> bytes | ctypes.c_int | ctypes.c_uint64:
    """`value` as a C function without a prototype takes it."""
    if isinstance(value, str):
        return os.fsencode(value)
    return ctypes.c_uint64(value) if isinstance(value, Wide) else ctypes.c_int(value)


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")

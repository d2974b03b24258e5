"""fork, enter the enclosure, exec: the command is born where it is guarded.

os.fork plus a write of `0` to cgroup.procs in the child, from a single-threaded parent:
race-free, and free of the hang that clone3 by hand had (2 of 30 with busy threads).
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable

from sentinel.linux.libc import execvpe, set_parent_death_signal
from sentinel.linux.oomscore import volunteer
from sentinel.linux.process import Child, kill_process
from sentinel.linux.signals import SignalDesk
from sentinel.model.errors import (
    EXIT_NOT_EXECUTABLE,
    EXIT_NOT_FOUND,
    KernelFileError,
    StartError,
)
from sentinel.model.spec import Command

START_DEADLINE_MS = 60_000
"""How long an exec may take (a dead network file system), milliseconds."""


def spawn(
    command: Command, enter: Callable[[], None], desk: SignalDesk, death_signal: int
) -> Child:
    """Start `command` in a child that has run `enter`; returns once the exec has succeeded.

    Raises StartError: 127 not found, 126 not executable, 125 could not be placed. The child
    is then gone and reaped.
    """
    parent = os.getpid()
    pid, reading, writing = _fork_with_pipe()
    if pid == 0:
        _become(command, enter, desk, (parent, death_signal, writing))
    os.close(writing)
    try:
        complaint = _read_complaint(reading, pid)
    finally:
        os.close(reading)
    if complaint:
        os.waitpid(pid, 0)
        raise _start_error(complaint, command.argv[0])
    return Child(pid)


def _fork_with_pipe() -> tuple[int, int, int]:
    """Fork with a pipe, close-on-exec, between the two; pid (0: the child), its ends.

    Raises StartError where processes or descriptors have run out.
    """
    ends: tuple[int, ...] = ()
    try:
        reading, writing = ends = os.pipe2(os.O_CLOEXEC)
        return os.fork(), reading, writing
    except OSError as error:
        for fd in ends:
            os.close(fd)
        raise StartError(
            f"cannot start a process: {os.strerror(error.errno or 0)}",
            _OUT_OF.get(error.errno or 0, "stop what uses up the machine"),
        ) from error


_OUT_OF = {
    errno.EAGAIN: "raise ulimit -u or the pids.max of a cgroup above",
    errno.EMFILE: "raise ulimit -n",
    errno.ENOMEM: "free some memory",
}


def _become(
    command: Command,
    enter: Callable[[], None],
    desk: SignalDesk,
    tie: tuple[int, int, int],
) -> None:
    """Turn the forked child into the command. Never returns."""
    parent, death_signal, writing = tie
    try:
        set_parent_death_signal(death_signal)
        if os.getppid() != parent:  # died before the tie was made
            os._exit(EXIT_NOT_FOUND)
        enter()
        volunteer()
        desk.restore_for_command()
        complaint = ["exec", str(execvpe(command.argv, command.environment))]
    except KernelFileError as error:
        complaint = ["place", error.message, error.remedy]
    except BaseException as error:  # noqa: BLE001 - nothing may unwind into the parent's code
        complaint = ["place", f"cannot prepare the command: {error!r}", ""]
    os.write(writing, "\0".join(complaint).encode(errors="backslashreplace")[:4096])
    os._exit(EXIT_NOT_FOUND)


def _read_complaint(reading: int, pid: int) -> str:
    """Text that the child wrote before it gave up; empty when exec closed the pipe."""
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    if not poll.poll(START_DEADLINE_MS):
        kill_process(pid)
        return f"place\0the command did not start within {START_DEADLINE_MS // 1000} s\0"
    return os.read(reading, 4096).decode(errors="backslashreplace")


def _start_error(complaint: str, argv0: bytes) -> StartError:
    stage, first, remedy = (complaint + "\0\0").split("\0")[:3]
    if stage == "place":
        return StartError(first, remedy)
    number = int(first)
    name = argv0.decode(errors="backslashreplace")
    if number == errno.ENOENT:
        if b"/" in argv0 and os.path.lexists(argv0):
            return StartError(
                f"{name!r} names an interpreter or link target that does not exist",
                "check its first line",
                exit_status=EXIT_NOT_FOUND,
            )
        where = "no such file" if b"/" in argv0 else "not found on PATH"
        return StartError(
            f"{name!r}: {where}", "check the spelling or give its path", exit_status=EXIT_NOT_FOUND
        )
    if b"/" in argv0 and os.path.isdir(argv0):
        return StartError(
            f"{name!r} is a directory", "name a program", exit_status=EXIT_NOT_EXECUTABLE
        )
    remedy = "run it without sentinel to compare"
    if number == errno.EACCES:
        remedy = f"chmod +x {name!r}"
        if b"/" in argv0 and _has_mode_x(argv0):
            remedy = "see that its interpreter is executable, and its mount not noexec"
    return StartError(
        f"{name!r} cannot be executed: {os.strerror(number)}",
        remedy,
        exit_status=EXIT_NOT_EXECUTABLE,
    )


def _has_mode_x(path: bytes) -> bool:
    try:
        return bool(os.stat(path).st_mode & 0o111)
    except OSError:
        return False

"""Starts a process that outlives us and shares nothing of ours but a few descriptors."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Collection, Sequence

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONHOME", "PYTHONUSERBASE", "TZ")
_FIXED = (signal.SIGKILL, signal.SIGSTOP)


def start_daemon(argv: Sequence[str], keep: Collection[int]) -> int:
    """Execute `argv` in a session of its own; its process number. Raises OSError.

    It gets the descriptors `keep` under their numbers, /dev/null as its streams, default
    signals, nothing blocked, and the few variables that a Python needs, which looks for modules
    where we do. It is our child until we end: reap it. Whoever reads our standard streams does
    not wait for it.
    """
    actions: list[tuple[int, int] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)
    ]
    actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable() if fd not in keep]
    before = {fd: os.get_inheritable(fd) for fd in keep}
    for fd in keep:
        os.set_inheritable(fd, True)
    try:
        return os.posix_spawn(
            argv[0],
            list(argv),
            _environment(),
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=[number for number in signal.valid_signals() if number not in _FIXED],
        )
    finally:
        for fd, inheritable in before.items():
            os.set_inheritable(fd, inheritable)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in _KEPT}
    if "PYTHONPATH" in os.environ:
        # In our order: what a guarded project has there may stand behind what is ours.
        kept["PYTHONPATH"] = os.pathsep.join(sys.path)
    return kept


def _inheritable() -> list[int]:
    """Descriptors above the standard streams that an exec would pass on."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:
            continue  # that of the listing itself
    return found


def become_background(name: str) -> None:
    """Be called `name` (15 bytes), stand in no directory, and have no advantage in scheduling.

    As many descriptors may be open as the hard limit allows: hundreds of runs connect.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.chdir("/")
    os.umask(0o077)
    if os.getpriority(os.PRIO_PROCESS, 0) < 0:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    try:
        with open("/proc/self/comm", "w", encoding="ascii") as file:
            file.write(name)
    except OSError:
        return

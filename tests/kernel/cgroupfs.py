"""Cgroups by hand, for the tests: no code of Sentinel, so that it can be judged by it."""

import contextlib
import errno
import os
import select
import time

EMPTY_SECONDS = 120


def read(cgroup: str, name: str) -> str:
    """Return the text of one file of a cgroup, without the last newline."""
    with open(os.path.join(cgroup, name), encoding="utf-8") as file:
        return file.read().removesuffix("\n")


def write(cgroup: str, name: str, value: str) -> None:
    """Write one file of a cgroup. Raises the kernel's own OSError."""
    with open(os.path.join(cgroup, name), "w", encoding="utf-8") as file:
        file.write(value)


def counters(cgroup: str, name: str) -> dict[str, int]:
    """Return a flat keyed file of a cgroup (memory.stat, memory.events) as numbers."""
    return {key: int(value) for key, value in map(str.split, read(cgroup, name).splitlines())}


def remove(cgroup: str) -> None:
    """Kill everything below `cgroup`, wait until it is empty, remove it and its children."""
    write(cgroup, "cgroup.kill", "1")
    await_empty(cgroup)
    for path, _, _ in os.walk(cgroup, topdown=False):
        os.rmdir(path)


def await_empty(cgroup: str) -> None:
    """Wait, by the kernel's own notification, until nothing is alive in `cgroup`."""
    deadline = time.monotonic() + EMPTY_SECONDS
    events = os.open(os.path.join(cgroup, "cgroup.events"), os.O_RDONLY)
    try:
        poller = select.poll()
        poller.register(events, select.POLLPRI)
        while b"populated 1" in os.pread(events, 256, 0):
            left = deadline - time.monotonic()
            assert left > 0, f"{cgroup} is not empty {EMPTY_SECONDS} s after cgroup.kill"
            poller.poll(left * 1000)
    finally:
        os.close(events)


def enable(directory: str) -> None:
    """Enable the controllers below `directory`, its own processes moved into a child if need be."""
    try:
        write(directory, "cgroup.subtree_control", "+memory +pids +cpu")
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        # No internal processes: only a cgroup without members can hand out controllers.
        child = os.path.join(directory, "main")
        os.makedirs(child, exist_ok=True)
        for pid in read(directory, "cgroup.procs").split():
            with contextlib.suppress(ProcessLookupError):
                write(child, "cgroup.procs", pid)
        write(directory, "cgroup.subtree_control", "+memory +pids +cpu")

"""A plain cgroup made by hand: limits written, a command put in, nobody watching."""

from __future__ import annotations

import itertools
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.guarded import read_lines, reap
from tests.kernel import cgroupfs
from tests.lab import capability

_numbers = itertools.count()


@contextmanager
def plain_leaf(limits: dict[str, int]) -> Iterator[str]:
    """A fresh cgroup with `limits` (file name to bytes), emptied and removed in the end."""
    top = capability.base_cgroup()
    cgroupfs.enable(top)
    path = os.path.join(top, f"bench-{os.getpid()}-{next(_numbers)}")
    os.mkdir(path)
    try:
        if os.path.exists(os.path.join(path, "memory.swap.max")):
            cgroupfs.write(path, "memory.swap.max", "0")
        for name, value in limits.items():
            cgroupfs.write(path, name, str(value))
        yield path
    finally:
        cgroupfs.remove(path)


def start(leaf: str, command: Sequence[str], out: int) -> subprocess.Popen[bytes]:
    """Start `command` inside `leaf`, born there as under Sentinel; its output goes to `out`."""

    def enter() -> None:
        cgroupfs.write(leaf, "cgroup.procs", "0")

    return subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=out,
        preexec_fn=enter,  # noqa: PLW1509 - there is one thread
    )


def run(command: Sequence[str], limits: dict[str, int] | None = None) -> tuple[str, ...]:
    """The lines that `command` prints, in a leaf with `limits`, or bare without."""
    with tempfile.NamedTemporaryFile(prefix="sentinel-bench-") as out:
        if limits is None:
            bare = subprocess.Popen(list(command), stdin=subprocess.DEVNULL, stdout=out.fileno())
            reap(bare)
        else:
            with plain_leaf(limits) as leaf:
                reap(start(leaf, command, out.fileno()))
        return read_lines(out.name)

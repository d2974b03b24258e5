"""Record how a leaf's counters move while a program sits at, or leaks past, its soft limit.

    .venv/bin/python -m tests.recordings.record [--kernel 6.1] [WORKLOAD ...]

It boots that kernel in the lab and replaces tests/recordings/KERNEL/WORKLOAD.txt. Inside the
guest it runs itself again, as root: a leaf with memory.high=64M, memory.max=96M and no swap,
one look every 10 ms from before the first `high` event to 2.5 s after it, with nobody reacting.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from tests.lab import LabError, machine
from tests.lab.kernels import KERNELS
from tests.recordings.series import HERE, STAT_KEYS, Recording, Sample, write
from tests.recordings.workloads import LIMIT, Workload, workloads

MIB = 1 << 20
WALL = 96 * MIB
TICK_SECONDS = 0.010
BEFORE = 10  # samples before the first event
AFTER_SECONDS = 2.5
PATIENCE_SECONDS = 40.0  # for the first event, in a kernel that emulates its CPU
LARGEST_BYTES = 30_000
ROOT = "/sys/fs/cgroup"
LEAF = f"{ROOT}/recording"
FILES = ("cpu.stat", "memory.events.local", "memory.current", "memory.stat", "pids.current")
"""In this order: reading cpu.stat flushes what the CPUs still hold back from memory.stat."""


def put(path: str, text: str) -> None:
    """Write a kernel file."""
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


@contextmanager
def leaf() -> Iterator[None]:
    """An empty leaf with its limits, killed and removed afterwards.

    :raises TimeoutError: its processes did not end within 10 s.
    """
    put(f"{ROOT}/cgroup.subtree_control", "+memory +pids")
    os.mkdir(LEAF)
    put(f"{LEAF}/memory.high", str(LIMIT))
    put(f"{LEAF}/memory.max", str(WALL))
    with suppress(FileNotFoundError):  # a kernel without swap has no such file
        put(f"{LEAF}/memory.swap.max", "0")
    try:
        yield
    finally:
        put(f"{LEAF}/cgroup.kill", "1")
        events = os.open(f"{LEAF}/cgroup.events", os.O_RDONLY)
        poller = select.poll()
        poller.register(events, select.POLLPRI)
        limit = time.monotonic() + 10
        while b"populated 1" in os.pread(events, 4096, 0):
            if time.monotonic() > limit:
                raise TimeoutError(f"{LEAF} is still populated")
            poller.poll(100)
        os.close(events)
        os.rmdir(LEAF)


def start(argv: Sequence[str]) -> int:
    """Start `argv` inside the leaf; returns its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            put(f"{LEAF}/cgroup.procs", "0")
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 0)
            os.dup2(null, 1)
            os.execv(argv[0], list(argv))
        finally:
            os._exit(127)
    return pid


def keyed(text: bytes) -> dict[str, int]:
    """Parse the kernel's `key value` lines."""
    return {key: int(value) for key, value in (line.split() for line in text.decode().splitlines())}


def watch(pid: int, from_bytes: int) -> list[Sample]:
    """Look every TICK_SECONDS until AFTER_SECONDS after the interesting moment.

    Returns the samples around that moment, with `t` counted from the first of them; all samples
    when the program ended or PATIENCE_SECONDS passed without it.
    """
    files = [os.open(f"{LEAF}/{name}", os.O_RDONLY) for name in FILES]
    began = due = time.monotonic()
    until = began + PATIENCE_SECONDS
    samples: list[Sample] = []
    first = 0
    while (now := time.monotonic()) < until and os.waitpid(pid, os.WNOHANG) == (0, 0):
        _, events, current, stat, pids = (os.pread(file, 1 << 14, 0) for file in files)
        high, values = keyed(events)["high"], keyed(stat)
        if not first and high and values["anon"] + values["kernel"] >= from_bytes:
            first, until = len(samples), now + AFTER_SECONDS
        kept = {key: values[key] for key in STAT_KEYS}
        samples.append(Sample(now - began, high, int(current), int(pids), kept))
        due = max(due + TICK_SECONDS, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
    for file in files:
        os.close(file)
    around = samples[max(0, first - BEFORE) :]
    return [sample._replace(t=sample.t - around[0].t) for sample in around]


def record(workload: Workload) -> str:
    """Run `workload` in a leaf of its own and return its recording as text."""
    put("/proc/sys/vm/drop_caches", "3")  # pages that others read would be charged to others
    # Held open, because the guest's root may forget the pages of a file that nobody has open.
    with open(workload.argv[0], "rb") as program:
        if workload.warm:
            program.read()
        with leaf():
            samples = watch(start(workload.argv), workload.from_bytes)
    recording = Recording(
        kernel=os.uname().release,
        limit=LIMIT,
        wall=WALL,
        cpus=os.cpu_count() or 1,
        truth=workload.truth,
        workload=workload.name,
        samples=samples,
    )
    while len(text := write(recording)) > LARGEST_BYTES:
        recording = recording._replace(samples=recording.samples[:-5])
    return text


def inside(names: Sequence[str]) -> int:
    """In the guest: record into the exchange directory."""
    folder, exchange = os.environ["SENTINEL_SCRATCH"], os.environ["SENTINEL_EXCHANGE"]
    block = os.urandom(MIB)
    with open(f"{folder}/data", "wb") as file:
        file.writelines(block for _ in range(300))
        os.fsync(file.fileno())
    for workload in workloads(folder):
        if workload.name not in names:
            continue
        text = record(workload)
        with open(f"{exchange}/{workload.name}.txt", "w", encoding="ascii") as out:
            out.write(text)
        last = text.splitlines()[-1].split()
        print(
            f"{workload.name:16} {last[0]:>7} s  {int(last[1]):5} events  "
            f"{int(last[2]) / LIMIT:.3f} of the limit  {len(text)} bytes",
            flush=True,
        )
    return 0


def main() -> int:
    """On the host: boot the lab, record in it, bring the files home."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.recordings.record",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = [workload.name for workload in workloads("/scratch")]
    parser.add_argument("--kernel", choices=KERNELS, default="6.1")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="WORKLOAD", help=" ".join(known))
    options = parser.parse_args()
    if unknown := set(options.names) - set(known):
        parser.error(f"{min(unknown)!r} is no workload: there are {' '.join(known)}")
    names = options.names or known
    if options.inside:
        return inside(names)
    home = os.path.join(HERE, options.kernel)
    os.makedirs(home, exist_ok=True)
    command = [sys.executable, "-m", "tests.recordings.record", "--inside", *names]
    bring = {f"{name}.txt": os.path.join(home, f"{name}.txt") for name in names}
    try:
        result = machine.run(options.kernel, machine.Order(command, timeout=900, bring=bring))
    except LabError as error:
        parser.error(str(error))
    if result.status is None:
        print(f"the lab did not finish; its console said:\n{result.console}", file=sys.stderr)
    return 1 if result.status is None else result.status


if __name__ == "__main__":
    sys.exit(main())

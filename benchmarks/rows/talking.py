"""The control socket: how soon it answers, and what a flood of questions costs the guard."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.baselines import lineserver
from benchmarks.baselines.braked import await_high
from benchmarks.figures import Line, Of, Series, Target, Unit
from benchmarks.guarded import NAME, Run, preferred
from benchmarks.interleave import interleaved
from benchmarks.processes import PATIENCE, wait_for
from benchmarks.row import Row
from benchmarks.site import Site
from benchmarks.workload import CLIENTS, program
from tests.kernel.guarded import leaves
from tests.lab import capability
from tests.victims.build import victim

ELSEWHERE = "unrelated server"
SILENT = 50
QUESTIONS = 200
PAUSE = 0.01
"""Seconds between two questions: as a person or a dashboard asks, and not as a flood."""
MOST_SECONDS = 0.010

FLOODERS = 100
ROUNDS = 30
ATTEMPTS = 5
LIMIT = 64 << 20
RATE = 80 << 20
AT_FULL_FLOOD = 0.3
MOST_RATIO = 1.2

ASKING_STORY = f"""\
`status` over the socket of a run whose command asks for 4 MiB, writes them and gives them back
at full speed below its limit, while {SILENT} other clients hold connections open and say nothing:
from connect(2) to the end of the answer. Against a plain server in Python beside the same
command, with the same silent clients. The target is for a real machine."""

FLOODING_STORY = f"""\
A C program leaks into `--limit 64M` while {FLOODERS} clients ask for the `status` of its run as
fast as they are answered, against the same clients asking an unrelated server on the same
machine, in turns. cgroup: flat out, from the kernel's first `high` event to the first line of
the program's SIGTERM handler. rss: at 80 MiB/s, how far over the limit it came, in seconds of
its rate."""


@contextmanager
def unrelated(directory: str) -> Iterator[str]:
    """The unrelated server; its path."""
    path = os.path.join(directory, "elsewhere")
    words = [sys.executable, "-I", os.path.abspath(lineserver.__file__), path]
    with subprocess.Popen(words) as server:
        try:
            wait_for(lambda: os.path.exists(path) or None, "the unrelated server")
            yield path
        finally:
            server.kill()


@contextmanager
def silent(path: str) -> Iterator[None]:
    """Clients that hold their connections."""
    with ExitStack() as stack:
        for _ in range(SILENT):
            client = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            client.connect(path)
        yield


def ask(path: str) -> float:
    """Seconds that one question takes."""
    began = time.perf_counter()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(PATIENCE)
        client.connect(path)
        client.sendall(b"status\n")
        parts = []
        while data := client.recv(4096):
            parts.append(data)
    took = time.perf_counter() - began
    if b"name" not in b"".join(parts):
        raise ValueError(f"no status: {parts}")
    return took


def measure_asking(site: Site) -> tuple[Line, ...]:
    """One run for each backend, questions to it and to the other server in turns."""
    return tuple(asking_line(backend, *asked(backend, site), site) for backend in site.backends)


def asked(backend: str, site: Site) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What the answers took: of the run, and of the unrelated server."""
    count = site.times(QUESTIONS, slow=50)
    with tempfile.TemporaryDirectory(prefix="s-") as short:
        path = os.path.join(short, "run")
        command = [program(), "alloc", f"{PATIENCE:g}"]
        with (
            unrelated(short) as other,
            Run(backend, ["-q", "--limit", "64M", "--socket", path], command),
        ):
            wait_for(lambda: os.path.exists(path) or None, "the run's socket")
            with silent(path), silent(other):
                pairs = []
                for _ in range(count):
                    time.sleep(PAUSE)
                    pairs.append((ask(path), ask(other)))
    ours, theirs = zip(*pairs, strict=True)
    return ours, theirs


def asking_line(
    backend: str, ours: tuple[float, ...], theirs: tuple[float, ...], site: Site
) -> Line:
    """The table of the answers."""
    return Line(
        f"{backend}: status",
        Unit.SECONDS,
        Series(NAME, ours),
        Series(ELSEWHERE, theirs),
        Target(Of.MEDIAN, MOST_SECONDS) if site.name == "native" else None,
    )


@contextmanager
def flooding(path: str) -> Iterator[None]:
    """The clients, at full speed."""
    words = [program(CLIENTS), path, str(FLOODERS), f"{PATIENCE:g}", "status"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as clients:
        try:
            assert clients.stdout is not None
            clients.stdout.readline()
            time.sleep(AT_FULL_FLOOD)
            yield
        finally:
            clients.kill()


def crossing(backend: str, *, at_the_run: bool, site: Site) -> float:
    """Seconds from the crossing to SIGTERM while the run, or somebody else, is flooded."""
    return seen(lambda: crossed(backend, at_the_run=at_the_run, site=site))


def seen(crossed: Callable[[], float | None]) -> float:
    """What `crossed` measures; repeated where the crossing was over before it was seen.

    Raises ValueError when it never was.
    """
    for _ in range(ATTEMPTS):
        found = crossed()
        if found is not None:
            return found
    raise ValueError(f"never saw the crossing in {ATTEMPTS} attempts")


def crossed(backend: str, *, at_the_run: bool, site: Site) -> float | None:
    """One run."""
    rate = "0" if backend == "cgroup" else str(RATE)
    leak = [victim(), "leak", f"rate={rate}", "steady=1", "chunk=32K", "max=512M", "seconds=60"]
    checkpoint = [f"checkpoint={site.path('flooding')}", "handler=0"]
    gate = ["sh", "-c", 'read go; exec "$@"', "sh"]
    with tempfile.TemporaryDirectory(prefix="s-") as short, ExitStack() as stack:
        path = os.path.join(short, "run")
        target = path if at_the_run else stack.enter_context(unrelated(short))
        options = ["-q", "--limit", str(LIMIT), "--socket", path]
        run = Run(backend, options, [*gate, *leak, *checkpoint], subprocess.PIPE)
        with run as guard:
            wait_for(lambda: os.path.exists(path) or None, "the run's socket")
            with flooding(target):
                return released(backend, guard)


def released(backend: str, guard: Run) -> float | None:
    """Let the leak begin; seconds from its crossing to SIGTERM, None: the crossing was not seen.

    Raises ValueError.
    """
    with preferred():
        at = _first_high(guard) if backend == "cgroup" else None
        if backend == "rss":
            _go(guard)
        ended = guard.end()
    if ended.verdict != "soft-limit":
        raise ValueError(f"the leak ended as {ended.verdict}: {ended.document}")
    if backend == "rss":
        return max(0.0, ended.peak - LIMIT) / RATE
    handler = ended.word("handler", "t_us")
    if handler is None:
        raise ValueError(f"no handler: {ended.lines}")
    return None if at is None else handler / 1e6 - at


def _go(guard: Run) -> None:
    assert guard.process.stdin is not None
    guard.process.stdin.write(b"\n")
    guard.process.stdin.flush()


def _first_high(guard: Run) -> float | None:
    """Let the leak begin; when the kernel told its first high event (monotonic seconds)."""
    (leaf,) = leaves(capability.base_cgroup())
    events = os.open(os.path.join(leaf, "memory.events.local"), os.O_RDONLY)
    ended = os.pidfd_open(guard.pid)
    try:
        _go(guard)
        seen = await_high(events, ended, PATIENCE)
        return time.monotonic() if seen else None
    except OSError as error:
        if error.errno != errno.ENODEV:  # the leaf is gone already
            raise
        return None
    finally:
        os.close(events)
        os.close(ended)


def measure_flooding(site: Site) -> tuple[Line, ...]:
    """Thirty rounds for each backend."""
    return tuple(flooding_line(backend, flooded(backend, site)) for backend in site.backends)


def flooded(backend: str, site: Site) -> dict[str, tuple[float, ...]]:
    """Seconds from crossing to SIGTERM by who was flooded."""
    return interleaved(
        {
            NAME: lambda: crossing(backend, at_the_run=True, site=site),
            ELSEWHERE: lambda: crossing(backend, at_the_run=False, site=site),
        },
        site.times(ROUNDS, slow=10),
    )


def flooding_line(backend: str, found: dict[str, tuple[float, ...]]) -> Line:
    """The table of the crossings."""
    return Line(
        f"{backend}: crossing to SIGTERM, {FLOODERS} flood",
        Unit.SECONDS,
        Series(NAME, found[NAME]),
        Series(ELSEWHERE, found[ELSEWHERE]),
        Target(Of.MEDIANS, MOST_RATIO),
    )


ROWS = (
    Row("asking", "Asking a run", ASKING_STORY, measure_asking),
    Row("flooding", "Flooding a run", FLOODING_STORY, measure_flooding),
)

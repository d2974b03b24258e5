"""Metrics: what a scrape takes, what it costs the guard, and what a run pays for being told of."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from benchmarks.figures import Line, Of, Series, Target, Unit
from benchmarks.guarded import NAME, SENTINEL, Run
from benchmarks.interleave import interleaved
from benchmarks.processes import cpu_seconds, memory, settle, switches, wait_for
from benchmarks.row import Row
from benchmarks.rows.launch import timed
from benchmarks.rows.talking import released, seen
from benchmarks.site import Site
from tests.cli.exporters import exporters, free_port, get
from tests.victims.build import victim

RUNS = 100
SCRAPES = 20
MOST_SECONDS = 0.250
MOST_EXPORTER = 40 << 20
MOST_GUARD = 25 << 20
WINDOW = 60.0
LATE_IMPORTS = 6.0
"""Seconds after which the rss backend has made its last late import."""
PAIRS = 50
MOST_LAUNCH = 1.05
CROSSINGS = 30
SLACK_RATIO, SLACK_SECONDS = 1.1, 0.005
"""By how much a scrape every second may delay the signal, whichever is more."""
LIMIT = 64 << 20
PLAIN = "without metrics"
UNSEEN = "without a scrape"
SCRAPED = "scraped every second"

ASKED_FOR = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
"""What Prometheus accepts, shortened."""

SCRAPE_STORY = f"""\
{RUNS} runs with `--metrics` that hold 2 MiB each, one exporter: a scrape of all of them as
Prometheus asks, from connect(2) to the last byte, {SCRAPES} times, 1 s apart. What the exporter
takes on a CPU for one of them, and what it holds; then {WINDOW:.0f} s in which nobody scrapes. The
targets are for a real machine with nothing else to do."""

GUARD_STORY = f"""\
A program that holds 8 MiB and sleeps, guarded with `--metrics`, its exporter scraped once:
{WINDOW:.0f} s in which nobody scrapes, and the memory that the guard then has."""

LAUNCH_STORY = f"""\
Wall time of `sentinel exec --metrics -- true` against the same without `--metrics`: the run is
too short for an exporter, and leaves its last counters all the same. {PAIRS} rounds, in turns."""

CROSSING_STORY = """\
A C program leaks flat out into `--limit 64M`, with `--metrics`, in turns with and without a
scraper that asks every second: from the kernel's first `high` event to the first line of the
program's SIGTERM handler. At most 10 % or 5 ms later, whichever is more."""


@contextmanager
def metered(backend: str, port: int, command: Sequence[str], *options: str) -> Iterator[Run]:
    """A run with metrics at `port`, once its exporter answers."""
    told = ("-q", "--limit", str(LIMIT), f"--metrics={port}", "--metrics-linger", "1s")
    with Run(backend, [*told, *options], command, subprocess.PIPE) as guard:
        wait_for(lambda: answers(port) or None, "the exporter")
        yield guard


def answers(port: int) -> bytes:
    """The page, empty while there is nobody."""
    with suppress(OSError):
        return get(port).body
    return b""


def took(port: int, runs: int) -> float:
    """Seconds of one scrape. Raises ValueError when it does not tell all `runs`."""
    began = time.perf_counter()
    body = get(port, accept=ASKED_FOR).body
    seconds = time.perf_counter() - began
    told = body.count(b"\nsentinel_memory_current_bytes{")
    if told < runs:
        raise ValueError(f"{told} of {runs} runs are told")
    return seconds


def measure_scrapes(site: Site) -> tuple[Line, ...]:
    """All runs, side by side."""
    backend, runs = site.backends[0], 5 if site.quick else RUNS
    port, count = free_port(), site.times(SCRAPES)
    hold = [victim(), "hold", "size=2M", "seconds=600"]
    with ExitStack() as stack:
        stack.enter_context(metered(backend, port, hold))
        options = ["-q", "--limit", str(LIMIT), f"--metrics={port}"]
        for _ in range(runs - 1):
            stack.enter_context(Run(backend, options, hold))
        wait_for(lambda: _all_told(port, runs), f"{runs} runs")
        (exporter,) = exporters(port)
        time.sleep(LATE_IMPORTS)
        before = cpu_seconds(exporter)
        seconds = []
        for _ in range(count):
            seconds.append(took(port, runs))
            time.sleep(1.0)
        cpu = (cpu_seconds(exporter) - before) / count
        _, held = memory(exporter)
        settle(exporter)
        woken = switches(exporter)
        time.sleep(site.seconds(WINDOW))
        woken = switches(exporter) - woken
    return scrape_lines(runs, tuple(seconds), cpu, (held, woken), site)


def _all_told(port: int, runs: int) -> bool | None:
    return answers(port).count(b"\nsentinel_memory_current_bytes{") >= runs or None


def scrape_lines(
    runs: int, seconds: tuple[float, ...], cpu: float, weight: tuple[int, int], site: Site
) -> tuple[Line, ...]:
    """The table of the scrapes. `weight`: bytes resident, and switches while nobody scraped."""
    real = site.name == "native"
    soon = Target(Of.MEDIAN, MOST_SECONDS) if real else None
    small = Target(Of.WORST, MOST_EXPORTER)
    return (
        Line(f"scrape of {runs} runs", Unit.SECONDS, Series(NAME, seconds), None, soon),
        *(
            [Line("exporter: CPU of one", Unit.SECONDS, Series(NAME, (cpu,)))]
            if site.counts_cpu
            else []
        ),
        Line("exporter: memory, RSS", Unit.BYTES, Series(NAME, (weight[0],)), None, small),
        Line(
            f"exporter: wake-ups in {site.seconds(WINDOW):.0f} s",
            Unit.COUNT,
            Series(NAME, (weight[1],)),
            None,
            Target(Of.WORST, 0),
        ),
    )


def measure_guard(site: Site) -> tuple[Line, ...]:
    """A guard whose run is told of, while nobody scrapes."""
    found: tuple[Line, ...] = ()
    hold = [victim(), "hold", "size=8M", "seconds=400"]
    for backend in site.backends:
        port = free_port()
        with metered(backend, port, hold) as guard:
            get(port)
            time.sleep(LATE_IMPORTS)
            if backend == "cgroup":
                settle(guard.pid)
            woken = switches(guard.pid)
            time.sleep(site.seconds(WINDOW))
            woken = switches(guard.pid) - woken
            pss, _ = memory(guard.pid)
        silent = Target(Of.WORST, 0) if backend == "cgroup" else None
        what = f"{backend}: the guard's wake-ups in {site.seconds(WINDOW):.0f} s"
        found += (
            Line(what, Unit.COUNT, Series(NAME, (woken,)), None, silent),
            Line(
                f"{backend}: the guard's memory, PSS",
                Unit.BYTES,
                Series(NAME, (pss,)),
                None,
                Target(Of.WORST, MOST_GUARD),
            ),
        )
    return found


def measure_launch(site: Site) -> tuple[Line, ...]:
    """`true`, in turns."""
    port = free_port()
    contestants = {
        NAME: timed([SENTINEL, "exec", "-q", f"--metrics={port}", "--", "true"]),
        PLAIN: timed([SENTINEL, "exec", "-q", "--", "true"]),
    }
    found = interleaved(contestants, site.times(PAIRS, slow=10), warm_up=1)
    return (
        Line(
            "launch of `true` with metrics",
            Unit.SECONDS,
            Series(NAME, found[NAME]),
            Series(PLAIN, found[PLAIN]),
            Target(Of.RATIO, MOST_LAUNCH),
        ),
    )


@contextmanager
def scraper(port: int) -> Iterator[None]:
    """Another process that asks every second."""
    script = (
        "import sys, time, urllib.request\n"
        "while True:\n"
        f"    urllib.request.urlopen('http://127.0.0.1:{port}/metrics').read()\n"
        "    time.sleep(1)\n"
    )
    with subprocess.Popen([sys.executable, "-I", "-c", script], stderr=subprocess.DEVNULL) as one:
        try:
            yield
        finally:
            one.kill()


def crossed(site: Site, *, scraped: bool) -> float | None:
    """Seconds from the first high event to SIGTERM; None: the event was not seen."""
    checkpoint = [f"checkpoint={site.path('scraping')}", "handler=0"]
    leak = [victim(), "leak", "rate=0", "max=512M", "seconds=60", *checkpoint]
    gate = ["sh", "-c", 'read go; exec "$@"', "sh"]
    port = free_port()
    with metered("cgroup", port, [*gate, *leak]) as guard, ExitStack() as stack:
        if scraped:
            stack.enter_context(scraper(port))
        # Wherever in the scraper's second, not always at its beginning.
        time.sleep(1.0 + os.urandom(1)[0] / 256)
        return released("cgroup", guard)


def measure_crossings(site: Site) -> tuple[Line, ...]:
    """With and without a scraper, in turns."""
    contestants = {
        SCRAPED: lambda: seen(lambda: crossed(site, scraped=True)),
        UNSEEN: lambda: seen(lambda: crossed(site, scraped=False)),
    }
    found = interleaved(contestants, site.times(CROSSINGS))
    unseen = Series(UNSEEN, found[UNSEEN])
    median = unseen.spread().median
    most = max(SLACK_RATIO, (median + SLACK_SECONDS) / median)
    return (
        Line(
            "first high event to SIGTERM, scraped every second",
            Unit.SECONDS,
            Series(NAME, found[SCRAPED]),
            unseen,
            Target(Of.MEDIANS, most),
        ),
    )


ROWS = (
    Row("scrape", "Scraping", SCRAPE_STORY, measure_scrapes, ("rss",)),
    Row("metered", "A guard that is told of", GUARD_STORY, measure_guard),
    Row("metered-launch", "Launch with metrics", LAUNCH_STORY, measure_launch),
    Row("scraped", "Reaction while scraped", CROSSING_STORY, measure_crossings, ("cgroup",)),
)

"""Metrics of runs in leaves: the kernel's own numbers, live and after the end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from subprocess import PIPE

import pytest

from sentinel.metrics.catalogue import CATALOGUE, KEPT_AFTER_THE_END, ROWS, Kind
from tests.cli.exporters import (
    SENTINEL,
    Samples,
    await_samples,
    exporters,
    free_port,
    get,
    metered,
)
from tests.kernel.guarded import leaves, read, victim_words, wait_for
from tests.kernel.test_weight import resident_share, settled, switches

MIB = 1 << 20
CURRENT = "sentinel_memory_current_bytes"
ENDED = "sentinel_runs_ended_total"
GROUP = ("--backend", "cgroup", "--metrics-linger", "200s")
PRESSURE = "sentinel_pressure_seconds_total"
ON_REQUEST = {"sentinel_open_fds", "sentinel_tcp_sockets"}
IDLE = 30.0
TREND = {f"sentinel_memory_{of}" for of in ("growth_bytes_per_second", "growth_confidence_ratio")}
TREND.add("sentinel_memory_limit_eta_seconds")

LISTENER = """
import socket, sys, time
ends = []
for _ in range(3):
    ends.append(socket.create_server(("127.0.0.1", 0)))
print("ready", flush=True)
time.sleep(600)
"""

pytestmark = pytest.mark.limit(600)


@pytest.fixture
def port() -> int:
    """A free port."""
    return free_port()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no other run has had."""
    return f"{request.node.name[:40]}-{os.getpid()}"


def number(path: str) -> int:
    """What a file of one number says."""
    return int(read(path))


def test_a_live_leaf_is_told_as_the_kernel_tells_it(port: int, name: str) -> None:
    """Every row of the table that this kernel has a file for, with its value."""
    hold = victim_words("hold", "size=20M", "seconds=600")
    with metered(port, name, hold, "--limit", "64M", "--hard-limit", "96M", *GROUP) as run:
        run.wait_line("ready")
        told = await_samples(port, "the run", name, "sentinel_run_state", state="watching")
        (leaf,) = [path for path in leaves("/sys/fs/cgroup") if f"-{name}-" in path]
        missing = {row.name for row in CATALOGUE if row.kind is not Kind.HISTOGRAM}
        missing -= told.names(name) | ON_REQUEST | TREND
        files = {PRESSURE: "memory.pressure", "sentinel_io_bytes_total": "io.stat"}
        files["sentinel_memory_swap_current_bytes"] = "memory.swap.current"
        assert {row for row in missing if read(f"{leaf}/{files.get(row, 'memory.stat')}")} == set()
        anon = told.value("sentinel_memory_anon_bytes", name)
        assert anon is not None
        assert 20 * MIB <= anon <= number(f"{leaf}/memory.peak")
        assert told.value("sentinel_memory_hard_limit_bytes", name) == 96 * MIB
        effective = told.value("sentinel_memory_effective_limit_bytes", name)
        assert effective is not None
        assert effective <= 96 * MIB
        assert told.value("sentinel_processes", name) == 1
        assert told.value("sentinel_tasks", name) == read(f"{leaf}/cgroup.threads").count("\n")
        parts = ("anon", "file", "shmem", "kernel", "sock", "other")
        kinds = [told.value("sentinel_memory_composition_bytes", name, kind=of) for of in parts]
        current = told.value(CURRENT, name)
        assert current is not None
        assert sum(kind or 0 for kind in kinds) == pytest.approx(current, rel=0.05)
        (exporter,) = exporters(port)
        assert f"sentinel-run-{name}" not in read(f"/proc/{exporter}/cgroup")


@pytest.mark.kernels("6.1")
def test_the_last_counters_of_an_oom_are_not_lost_with_the_leaf(port: int, name: str) -> None:
    """The kernel ended the run at its wall: the leaf is gone, and its events are told."""
    leak = victim_words("leak", "rate=0", "max=200M")
    options = ("--limit", "64M", "--hard-limit", "80M", "--for", "10m")
    with metered(port, f"{name}-other", victim_words("hold", "size=1M", "seconds=600"), *GROUP):
        await_samples(port, "the exporter", f"{name}-other", CURRENT)
        with metered(port, name, leak, *options, *GROUP) as run:
            assert run.wait_end() == 124
            told = await_samples(port, "the verdict", name, ENDED, verdict="hard-limit")
    assert told.state(name) == "done"
    event = "sentinel_memory_events_total"
    assert (told.value(event, name, event="oom") or 0) >= 1
    assert (told.value(event, name, event="oom_kill") or 0) >= 1
    assert (told.value("sentinel_memory_pgfault_total", name) or 0) > 64 * MIB // 4096
    assert (told.value("sentinel_memory_peak_bytes", name) or 0) > 64 * MIB
    assert (told.value("sentinel_cpu_seconds_total", name, mode="user") or 0) >= 0
    series = {of.rsplit("_bucket", 1)[0] for of in told.names(name)}
    series = {of if of in ROWS else of.rpartition("_")[0] for of in series}
    assert series <= KEPT_AFTER_THE_END


def test_a_leaf_that_is_gone_at_once_has_been_counted(port: int, name: str) -> None:
    """Too short a run for anybody to attend it: what its leaf counted is told all the same."""
    argv = [SENTINEL, "exec", "-q", "--backend", "cgroup", "--name", name, f"--metrics={port}"]
    subprocess.run([*argv, "--", "true"], check=True)
    told = Samples(subprocess.run([SENTINEL, "metrics", name], stdout=PIPE, check=True).stdout)
    assert told.value(ENDED, name, verdict="exited") == 1
    assert told.state(name) == "done"
    assert (told.value("sentinel_memory_pgfault_total", name) or 0) > 0
    assert told.value("sentinel_memory_events_total", name, event="oom_kill") == 0
    assert told.value("sentinel_memory_high_ignored_total", name, reason="reclaimable") == 0
    assert told.value("sentinel_actions_total", name, action="sigterm") == 0


@pytest.mark.kernels("6.1")
def test_sockets_are_told_by_the_leaf_that_opened_them(port: int, name: str) -> None:
    """Three listeners of the run, none of its neighbour's; and its descriptors.

    The cloud kernel has the socket monitor in a module, which nobody loads in the lab.
    """
    words = [sys.executable, "-c", LISTENER]
    with (
        socket.create_server(("127.0.0.1", 0)),
        metered(port, name, words, "--limit", "200M", *GROUP) as run,
    ):
        run.wait_start("ready")
        await_samples(port, "the run", name, CURRENT)
        page = get(port, "/metrics?with=tcp_sockets&with=open_fds").body.decode()
        lines = [line for line in page.splitlines() if f'run="{name}"' in line]
        sockets = [line for line in lines if line.startswith("sentinel_tcp_sockets{")]
        assert sockets == [f'sentinel_tcp_sockets{{run="{name}",state="LISTEN"}} 3.0']
        (fds,) = [line for line in lines if line.startswith("sentinel_open_fds{")]
        assert float(fds.split()[-1]) >= 6
        assert "sentinel_tcp_sockets" not in get(port).body.decode()


@pytest.mark.kernels("6.1")
def test_nobody_wakes_while_nobody_scrapes(port: int, name: str) -> None:
    """Neither the guard nor its exporter is switched once for half a minute; both stay small."""
    hold = victim_words("hold", "size=8M", "seconds=600")
    with metered(port, name, hold, "--limit", "64M", *GROUP) as run:
        await_samples(port, "the run", name, CURRENT)
        (exporter,) = exporters(port)
        both = (run.pid, exporter)
        wait_for(lambda: all(map(settled, both)), "quiet")
        before = [switches(pid) for pid in both]
        end = time.monotonic() + IDLE
        while time.monotonic() < end:
            time.sleep(1.0)
        assert [switches(pid) for pid in both] == before
        assert resident_share(run.pid) <= 25 * MIB
        assert resident_share(exporter) <= 40 * MIB

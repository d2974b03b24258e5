"""Metrics of real runs: one exporter for all, from its birth to its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sentinel.metrics.catalogue import KEPT_AFTER_THE_END
from tests.cli.exporters import (
    Samples,
    await_samples,
    exporters,
    free_port,
    get,
    metered,
    scrape,
)
from tests.cli.processes import parent
from tests.cli.terminal import PATIENCE, SENTINEL
from tests.observability import programs
from tests.victims.build import victim
from tests.victims.running import wait_until

CURRENT = "sentinel_memory_current_bytes"
STATE = "sentinel_run_state"
ENDED = "sentinel_runs_ended_total"
LINGER = ("--metrics-linger", "1s")


def hold() -> list[str | bytes]:
    """A command that holds 8 MiB for longer than any test takes."""
    return [victim(), "hold", "size=8M", "seconds=600"]


@pytest.fixture
def port() -> int:
    """A free port."""
    return free_port()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no other run has had: what ended runs counted is kept."""
    return f"{request.node.name[:40].replace('[', '-').strip(']')}-{os.getpid()}"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """For several runs."""
    with ExitStack() as made:
        yield made


def checked(body: bytes) -> str:
    """What promtool has to say about a page; empty: nothing."""
    argv = [programs.path("promtool"), "check", "metrics"]
    done = subprocess.run(argv, input=body, capture_output=True, check=False, timeout=PATIENCE)
    return (done.stdout + done.stderr).decode() + ("" if done.returncode == 0 else "failed")


def test_a_run_is_told_while_it_lives_and_after_it(port: int, name: str) -> None:
    """Live: memory, state, limits. Over: its verdict, counters and peaks, and nothing of now."""
    with metered(port, name, hold(), "--limit", "64M", "--metrics-linger", "30s") as run:
        live = await_samples(port, "the run's state", name, STATE, state="watching")
        assert (live.value(CURRENT, name) or 0) > 8 << 20
        assert live.value("sentinel_memory_soft_limit_bytes", name) == 64 << 20
        assert live.value("sentinel_processes", name) == 1
        assert live.value(ENDED, name, verdict="signalled") == 0
        page = get(port)
        assert checked(page.body) == ""
        assert page.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        run.process.send_signal(signal.SIGTERM)
        assert run.wait_end() == 143
        over = await_samples(port, "the verdict", name, ENDED, verdict="signalled")
        assert over.state(name) == "done"
        allowed = {*KEPT_AFTER_THE_END, *(f"{h}_bucket" for h in KEPT_AFTER_THE_END)}
        allowed |= {f"{h}_sum" for h in KEPT_AFTER_THE_END}
        allowed |= {f"{h}_count" for h in KEPT_AFTER_THE_END}
        assert over.names(name) <= allowed
        assert (over.value("sentinel_memory_peak_bytes", name) or 0) > 8 << 20
        assert checked(get(port).body) == ""


def test_a_leakers_verdict_can_be_asked_after_its_end(port: int, name: str) -> None:
    """Soft limit, the signal, and how long the stop took."""
    leak = [victim(), "leak", "rate=40M", "max=512M"]
    with metered(port, name, leak, "--limit", "60M", "--metrics-linger", "30s") as run:
        await_samples(port, "the leak", name, CURRENT)
        assert run.wait_end() == 124
        over = await_samples(port, "the verdict", name, ENDED, verdict="soft-limit")
        assert over.value("sentinel_actions_total", name, action="sigterm") == 1
        assert over.value("sentinel_termination_seconds_count", name) == 1
        assert (over.value("sentinel_memory_peak_bytes", name) or 0) > 60 << 20


def test_runs_that_end_at_once_are_counted_all_the_same(port: int, name: str) -> None:
    """What ended within half a second is told by the exporter of a later run."""
    for _ in range(3):
        argv = [SENTINEL, "exec", "-q", "--name", name, f"--metrics={port}", "--", "true"]
        subprocess.run(argv, check=True, timeout=PATIENCE)
    with metered(port, f"{name}-long", hold(), *LINGER):
        told = await_samples(port, "the short runs", name, ENDED, verdict="exited")
    assert told.value(ENDED, name, verdict="exited") == 3
    assert told.state(name) == "done"


def test_runs_that_could_not_be_started_are_counted(port: int, name: str) -> None:
    """As failed-to-start, two in one second too; without --metrics nobody is counted."""
    argv = [SENTINEL, "exec", "-q", "--backend", "rss", "--name", name]
    for words in ([f"--metrics={port}"], [f"--metrics={port}"], []):
        done = subprocess.run(
            [*argv, *words, "--", f"/nonexistent-{name}"], stderr=subprocess.PIPE, check=False
        )
        assert done.returncode == 127
    told = subprocess.run([SENTINEL, "metrics", name], capture_output=True, check=True)
    samples = Samples(told.stdout)
    assert samples.value(ENDED, name, verdict="failed-to-start") == 2
    assert samples.state(name) == "done"
    assert samples.labels("sentinel_run_info")[0]["command"] == f"nonexistent-{name}"


def test_all_runs_share_one_exporter(port: int, name: str, stack: ExitStack) -> None:
    """One process for each port; runs that did not ask for metrics are told, too."""
    names = [f"{name}-{number}" for number in range(3)]
    for each in names:
        stack.enter_context(metered(port, each, hold(), *LINGER))
    plain = subprocess.Popen([SENTINEL, "exec", "-q", "--name", f"{name}-plain", "--", *hold()])
    stack.callback(plain.wait)
    stack.callback(plain.kill)
    for each in (*names, f"{name}-plain"):
        await_samples(port, f"{each} among the runs", each, CURRENT)
    assert len(exporters(port)) == 1


def test_a_killed_exporter_has_a_successor(port: int, name: str, stack: ExitStack) -> None:
    """The runs that are still there learn of its end, and one of them starts the next."""
    for number in range(3):
        stack.enter_context(metered(port, f"{name}-{number}", hold(), *LINGER))
    await_samples(port, "the exporter", f"{name}-0", CURRENT)
    for _ in range(2):
        (before,) = exporters(port)
        os.kill(before, signal.SIGKILL)
        wait_until("another exporter", partial(_others, port, before))
        for number in range(3):
            await_samples(port, "the runs again", f"{name}-{number}", CURRENT)
        assert len(exporters(port)) == 1


def _others(port: int, pid: int) -> set[int]:
    return set(exporters(port)) - {pid}


def test_an_exporter_stays_for_a_while_and_gives_its_port_up(port: int, name: str) -> None:
    """After the last run: so that its end can be scraped."""
    with metered(port, name, hold(), *LINGER) as run:
        await_samples(port, "the exporter", name, CURRENT)
        run.process.send_signal(signal.SIGTERM)
        run.wait_end()
        wait_until("the end of the exporter", lambda: not exporters(port))
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


READER = ("sh", "-c", "read word; exit 7")
"""Goes on until it is told to end."""


def spoken(port: int, name: str, *options: str, **streams: Any) -> subprocess.Popen[str]:
    """A guarded `READER` that speaks to pipes."""
    argv = [SENTINEL, "exec", "--backend", "rss", "--limit", "1G", "--name", name]
    return subprocess.Popen(
        [*argv, f"--metrics={port}", *options, "--", *READER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **streams,
    )


def test_the_exporter_is_nobodys_family_and_nobodys_reader(port: int, name: str) -> None:
    """It is the guard's child: not asked to stop, not counted, and it holds no stream open."""
    inherited, kept = os.pipe()
    with spoken(port, name, "--metrics-linger", "60s", pass_fds=(kept,)) as run:
        os.close(kept)
        told = await_samples(port, "the exporter", name, CURRENT)
        assert told.value("sentinel_processes", name) == 1
        (exporter,) = exporters(port)
        assert parent(exporter) == run.pid
        with metered(port, f"{name}-other", hold()):
            await_samples(port, "the other run", f"{name}-other", CURRENT)
            # All that was inherited has been closed: the pipes come to their end.
            assert run.communicate("end\n", timeout=PATIENCE) == ("", "")
            assert run.returncode == 7
            assert os.read(inherited, 1) == b""
            os.close(inherited)
            await_samples(port, "the first run's end", name, ENDED, verdict="exited")
            assert exporters(port) == [exporter]


TAKEN = "Address already in use; somebody else listens there; choose another port: --metrics=PORT"
NOWHERE = "Cannot assign requested address; choose another address: --metrics-address 127.0.0.1"


@pytest.mark.parametrize(
    ("address", "reason"),
    [("127.0.0.1", TAKEN), ("192.0.2.1", NOWHERE)],
    ids=["port of a stranger", "address of nobody"],
)
def test_what_cannot_be_served_costs_one_line(
    port: int, name: str, address: str, reason: str
) -> None:
    """The command goes on, and its status is its own."""
    with (
        socket.create_server(("127.0.0.1", port)),
        spoken(port, name, "--metrics-address", address) as run,
    ):
        assert run.stderr is not None
        assert run.stderr.readline() == (
            f"sentinel: {name}: no metrics at {address}:{port}: {reason}; "
            "the run goes on without metrics\n"
        )
        assert run.communicate("end\n", timeout=PATIENCE) == ("", "")
        assert run.returncode == 7
    assert exporters(port) == []


@pytest.mark.parametrize("value", ["0", "65536", "-1", "http", "80 80"])
def test_a_port_that_is_none_is_refused(value: str) -> None:
    """Before anything is started."""
    argv = [SENTINEL, "exec", f"--metrics={value}", "--", "touch", "/nonexistent/started"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert f"{value!r} is no TCP port" in done.stderr


def test_a_guard_that_hangs_costs_its_own_rows(port: int, name: str, stack: ExitStack) -> None:
    """While one guard stands still, /metrics answers, and the others are whole."""
    hung = stack.enter_context(metered(port, f"{name}-hung", hold(), *LINGER))
    stack.enter_context(metered(port, f"{name}-well", hold(), *LINGER))
    await_samples(port, "one run", f"{name}-hung", CURRENT)
    await_samples(port, "the other", f"{name}-well", STATE, state="watching")
    (old,) = exporters(port)
    hung.process.send_signal(signal.SIGSTOP)
    # An exporter that never heard of it: the other run starts it.
    os.kill(old, signal.SIGKILL)
    told = await_samples(port, "the other", f"{name}-well", STATE, state="watching")
    assert told.value(CURRENT, f"{name}-hung")
    assert told.state(f"{name}-hung") is None
    assert told.value(CURRENT, f"{name}-well")
    hung.process.send_signal(signal.SIGCONT)
    await_samples(port, "its answer", f"{name}-hung", STATE, state="watching")


def test_a_guard_that_was_killed_leaves_no_rows(port: int, name: str, stack: ExitStack) -> None:
    """It left no word: what it was is not told as what is."""
    doomed = stack.enter_context(metered(port, f"{name}-doomed", hold(), *LINGER))
    stack.enter_context(metered(port, f"{name}-well", hold(), *LINGER))
    await_samples(port, "the run", f"{name}-doomed", CURRENT)
    doomed.process.kill()
    doomed.process.wait()

    def gone() -> bool:
        told = scrape(port)
        return told is not None and not told.names(f"{name}-doomed")

    wait_until("its rows to go", gone)


def test_names_of_commands_are_data(port: int, name: str, tmp_path: Path) -> None:
    """Quotes, a line end, a byte that is no UTF-8: in a label, and in nothing else."""
    odd = os.path.join(os.fsencode(tmp_path), b'we"i\\rd\n\xff')
    os.symlink("/bin/sleep", odd)
    with metered(port, name, [odd, "1000"], *LINGER):
        told = await_samples(port, "the run", name, CURRENT)
        page = get(port)
    infos = [of for of in told.labels("sentinel_run_info") if of["run"] == name]
    assert [of["command"] for of in infos] == ['we"i\\rd\n\\xff']
    assert checked(page.body) == ""


def test_the_verb_prints_the_same_without_a_server(port: int, name: str, tmp_path: Path) -> None:
    """For one run or all, on the screen or as a file; nobody of that name is status 3."""
    with metered(port, name, hold(), *LINGER):
        await_samples(port, "the run", name, CURRENT)
        one = subprocess.run([SENTINEL, "metrics", name], capture_output=True, check=False)
        words = [SENTINEL, "metrics", "--textfile", str(tmp_path), "--with", "open_fds"]
        written = subprocess.run(words, capture_output=True, check=False)
        none = subprocess.run([SENTINEL, "metrics", f"{name}-no"], capture_output=True, check=False)
    assert one.returncode == written.returncode == 0
    assert written.stdout == b""
    assert checked(one.stdout) == ""
    assert f'{CURRENT}{{run="{name}"}} '.encode() in one.stdout
    assert one.stdout.count(f"{CURRENT}{{".encode()) == 1
    text = (tmp_path / "sentinel.prom").read_bytes()
    assert checked(text) == ""
    assert f'sentinel_open_fds{{run="{name}"}} '.encode() in text
    assert b"process_cpu_seconds_total" not in text
    assert os.listdir(tmp_path) == ["sentinel.prom"]
    assert os.stat(tmp_path / "sentinel.prom").st_mode & 0o777 == 0o644
    assert none.returncode == 3
    assert f"no run called '{name}-no' is live or remembered" in none.stderr.decode()


def test_a_directory_that_cannot_be_written_is_an_error_line(tmp_path: Path) -> None:
    """What, why, and what to name instead; a name that is empty is not the root directory."""
    for directory in (f"{tmp_path}/missing", ""):
        words = [SENTINEL, "metrics", "--textfile", directory]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 125
        assert done.stderr == (
            f"sentinel: cannot write sentinel.prom in {directory!r}: No such file or directory; "
            "name the directory of node_exporter's --collector.textfile.directory\n"
        )

"""A real Prometheus answers every question of the dashboards and rules with real series."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import yaml

from tests.lab import ROOT
from tests.observability import dashboards, recording
from tests.observability.prometheus import Prometheus, await_silence, free_port, running
from tests.observability.promtool import RULES, told

SECONDS = 90
BEGAN = 1_700_000_000.0
SCRAPED = {"job": "sentinel", "instance": "127.0.0.1:8000"}
LEAKER = os.path.join(ROOT, "tests/leaker.py")
SENTINEL = os.path.join(os.path.dirname(sys.executable), "sentinel")


class Replayed(NamedTuple):
    """A Prometheus that has seen a recorded run, and when that run was."""

    prometheus: Prometheus
    start: float
    end: float


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayed]:
    """The recording of a real leak, as if it had been scraped; a nobody listens on the port."""
    home = tmp_path_factory.mktemp("prometheus")
    recorded = recording.read()
    text = recording.openmetrics(recorded, BEGAN, SCRAPED)
    (home / "samples").write_text(text, encoding="utf-8")
    told("tsdb", "create-blocks-from", "openmetrics", str(home / "samples"), str(home / "data"))
    with running(str(home), free_port()) as prometheus:
        yield Replayed(prometheus, BEGAN, BEGAN + recorded.times[-1])


@pytest.mark.parametrize("asked", dashboards.queries(), ids=lambda asked: asked.whose)
def test_a_panels_question_has_an_answer(asked: dashboards.Asked, replayed: Replayed) -> None:
    """Every query of every panel and mark is understood, and a real leak gives it something."""
    found = replayed.prometheus.over(asked.expr, replayed.start, replayed.end)
    values = [value for series in found for _, value in series["values"]]
    assert any(value not in {"NaN", "+Inf"} for value in values)


def rules() -> dict[str, str]:
    """Every rule's expression by its name."""
    found: dict[str, str] = {}
    for path in RULES:
        with open(path, encoding="utf-8") as file:
            groups = yaml.safe_load(file)["groups"]
        found |= {
            rule.get("alert") or rule["record"]: rule["expr"]
            for group in groups
            for rule in group["rules"]
        }
    return found


@pytest.mark.parametrize("name", rules())
def test_the_series_of_a_rule_are_there(name: str, replayed: Replayed) -> None:
    """A rule is understood, and every series that it selects from the collector is a real one."""
    expr = rules()[name]
    replayed.prometheus.now(expr, replayed.end)
    selectors = re.findall(r"\bsentinel_\w+(?:\{[^}]*\})?", re.sub(r"run:\w+:\w+", "", expr))
    for selector in selectors:
        # Which backend it was is the one thing that a recording cannot have both ways.
        there = selector.replace('"rss|cgroup-ro"', '"rss|cgroup"')
        assert replayed.prometheus.over(there, replayed.start, replayed.end), selector


def test_the_choice_of_runs_is_filled(replayed: Replayed) -> None:
    """The variable `run` finds the names of the runs."""
    which = {"match[]": "sentinel_run_info"}
    found = replayed.prometheus.ask("label/run/values", start=BEGAN, end=replayed.end, **which)
    assert found == ["batches"]


@contextlib.contextmanager
def guarded(name: str, port: int) -> Iterator[subprocess.Popen[str]]:
    """A leak of ten seconds under Sentinel, with metrics on `port`."""
    argv = [SENTINEL, "exec", "--limit", "200M", f"--metrics={port}", "--name", name]
    argv += ["--metrics-linger", "6s", "--", sys.executable, LEAKER, "--rate", "20"]
    with subprocess.Popen(
        argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as run:
        try:
            yield run
        finally:
            if run.poll() is None:
                run.send_signal(signal.SIGTERM)
    await_silence(port)


def test_a_leaks_verdict_can_be_asked_for_after_it_ended(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A leak of ten seconds is scraped; afterwards its verdict is there, its memory is not."""
    name, port = f"prometheus-{os.getpid()}", free_port()
    home = tmp_path_factory.mktemp("live")
    with running(str(home), port) as prometheus, guarded(name, port) as run:
        assert (run.communicate(timeout=SECONDS), run.returncode)[1] == 124
        ended = f'sentinel_runs_ended_total{{run="{name}",verdict="soft-limit"}} == 1'
        limit = time.monotonic() + SECONDS
        while not prometheus.now(ended) and time.monotonic() < limit:
            time.sleep(0.2)
        (verdict,) = prometheus.now(ended)
        assert verdict["metric"]["job"] == "sentinel"
        anon = f'sentinel_memory_anon_bytes{{run="{name}"}}'
        assert prometheus.now(anon) == []
        ((_, peak),) = [series["value"] for series in prometheus.now(f"max_over_time({anon}[5m])")]
        assert int(peak) > 100 << 20
        assert prometheus.now(f'sentinel_run_state{{run="{name}",state="done"}} == 1')

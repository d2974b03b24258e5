"""The alerts tell a leak from whatever else memory does, and say what to do about it."""

import math
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sentinel.metrics.detector import Point
from sentinel.metrics.history import History
from tests.lab import ROOT
from tests.observability import shapes
from tests.observability.promtool import RULES, Series, case, passes, told
from tests.observability.shapes import DAY, HOUR, MIB, Shape

RUN = 'run="web",job="sentinel",instance="127.0.0.1:8000"'
FIRED = (
    "(min by (alertname) (min_over_time(timestamp("
    'ALERTS{{class="leak",alertstate="firing"}})[{minutes}m:1m])) / 60)'
)
"""The minute in which each alert fired for the first time."""

Window = tuple[int, int]
"""From minute to minute, both included."""

QUIET: dict[str, Window] = {}

CASES = [
    (
        Shape("staircase", 6 * HOUR, shapes.staircase),
        {
            "SentinelLeakForecast": (100, 115),
            "SentinelMemoryRatchet": (180, 200),
            "SentinelLimitNear": (205, 235),
        },
    ),
    (
        Shape("linear", 6 * HOUR, shapes.linear),
        {
            "SentinelLeakForecast": (100, 115),
            "SentinelMemoryRatchet": (180, 200),
            "SentinelLimitNear": (205, 235),
        },
    ),
    (
        Shape("sawtooth that leaks", 6 * HOUR, shapes.leaking_sawtooth),
        {
            "SentinelLeakForecast": (90, 130),
            "SentinelMemoryRatchet": (180, 200),
            # On the first swing nobody can know that a collector will come.
            "SentinelLimitNear": (4, 20),
        },
    ),
    (Shape("warm-up, then flat", 3 * DAY, shapes.warm_up, step=4), QUIET),
    (Shape("sawtooth of a collector", 3 * DAY, shapes.sawtooth, step=4), QUIET),
    (Shape("flat while the cache grows", 12 * HOUR, shapes.noise, shapes.growing_cache), QUIET),
    (Shape("flat with noise", 3 * DAY, shapes.noise, step=4), QUIET),
    (Shape("one burst", 6 * HOUR, shapes.burst), QUIET),
    (
        Shape("slow", 3 * DAY, shapes.slow, limit=512.0, step=4),
        {"SentinelSlowLeak": (54 * HOUR, 56 * HOUR)},
    ),
    (
        Shape("late", 12 * HOUR, shapes.late),
        {
            "SentinelLeakForecast": (6 * HOUR + 15, 8 * HOUR),
            "SentinelMemoryRatchet": (7 * HOUR, 9 * HOUR),
            "SentinelLimitNear": (9 * HOUR, 10 * HOUR),
        },
    ),
]


def notation(values: list[int]) -> str:
    """Values as promtool reads them."""
    return " ".join(map(str, values))


def foretold(shape: Shape) -> Series:
    """What the exporter's own detector makes of a shape, from look to look."""
    history = History()
    eta, confidence = [], []
    for number, anon in enumerate(shape.bytes_of(shape.anon)):
        history.add(Point(number * shape.step * 60.0, anon, anon))
        trend = history.trend()
        left = trend.eta(anon, shape.limit * MIB) if trend else math.inf
        eta.append("+Inf" if left == math.inf else f"{left:.0f}")
        confidence.append(f"{trend.confidence:.3f}" if trend else "0")
    return {
        f"sentinel_memory_limit_eta_seconds{{{RUN}}}": " ".join(eta),
        f"sentinel_memory_growth_confidence_ratio{{{RUN}}}": " ".join(confidence),
    }


def series(shape: Shape) -> Series:
    """What Sentinel tells of a run of this shape that began at minute 0."""
    anon, cache = shape.bytes_of(shape.anon), shape.bytes_of(shape.cache)
    for_ever = f"x{shape.minutes // shape.step}"
    return {
        **foretold(shape),
        f"sentinel_memory_anon_bytes{{{RUN}}}": notation(anon),
        f'sentinel_memory_composition_bytes{{{RUN},kind="file"}}': notation(cache),
        f"sentinel_memory_current_bytes{{{RUN}}}": notation(
            [sum(both) for both in zip(anon, cache, strict=True)]
        ),
        f"sentinel_memory_soft_limit_bytes{{{RUN}}}": f"{round(shape.limit * MIB)}+0{for_ever}",
        f"sentinel_run_start_time_seconds{{{RUN}}}": f"0+0{for_ever}",
    }


@pytest.mark.parametrize(("shape", "windows"), CASES, ids=[shape.name for shape, _ in CASES])
def test_a_leak_is_told_from_other_shapes(
    shape: Shape, windows: dict[str, Window], tmp_path: Path
) -> None:
    """Exactly the alerts that a shape calls for ever fire, each first when it ought to."""
    fired = FIRED.format(minutes=shape.minutes)
    asked = [
        {
            "expr": f"count by (alertname) ({fired})",
            "eval_time": f"{shape.minutes}m",
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in windows],
        }
    ]
    for name, (first, last) in windows.items():
        mine = fired.replace("ALERTS{", f'ALERTS{{alertname="{name}",')
        within = {"labels": f'{{alertname="{name}"}}', "value": 1}
        asked.append(
            {
                "expr": f"({mine} >= bool {first}) * ({mine} <= bool {last})",
                "eval_time": f"{shape.minutes}m",
                "exp_samples": [within],
            }
        )
    passes(str(tmp_path), case(series(shape), promql_expr_test=asked), shape.step)


def test_a_rhythm_of_days_is_no_ratchet_from_the_second_day_on(tmp_path: Path) -> None:
    """What rises as it did yesterday is not told again; on the first day nobody can know."""
    shape = Shape("daily", 3 * DAY, shapes.daily, limit=400.0, step=4)
    fired = 'count(count_over_time(ALERTS{class="leak",alertstate="firing"}[1d]))'
    asked: list[dict[str, Any]] = [
        {"expr": fired, "eval_time": "1d", "exp_samples": [{"labels": "{}", "value": 1}]},
        {"expr": fired, "eval_time": "2d", "exp_samples": []},
        {"expr": fired, "eval_time": "3d", "exp_samples": []},
    ]
    passes(str(tmp_path), case(series(shape), promql_expr_test=asked), shape.step)


ENDED = f"sentinel_runs_ended_total{{{RUN},verdict="

CAUSES = [
    (
        "SentinelLimitNear",
        5,
        {
            f"sentinel_memory_limit_eta_seconds{{{RUN}}}": "+Inf 900 840 780 720 660",
            f"sentinel_memory_growth_confidence_ratio{{{RUN}}}": "0 0.9 0.9 0.9 0.9 0.9",
        },
    ),
    (
        "SentinelThrottled",
        15,
        {
            f'sentinel_memory_events_total{{{RUN},event="high"}}': "0+100x20",
            f'sentinel_pressure_seconds_total{{{RUN},resource="memory",kind="some"}}': "0+9x20",
        },
    ),
    (
        "SentinelOomKill",
        5,
        {f'sentinel_memory_events_total{{{RUN},event="oom_kill"}}': "0 0 0 1 1 1"},
    ),
    ("SentinelEndedByKernel", 5, {f'{ENDED}"hard-limit"}}': "0 0 0 1 1 1"}),
    ("SentinelGraceExceeded", 5, {f'{ENDED}"soft-limit-killed"}}': "0 0 0 1 1 1"}),
    (
        "SentinelFlapping",
        40,
        {f'{ENDED}"soft-limit"}}': "0x9 1x9 2x9 3x13", f'{ENDED}"hard-limit"}}': "0x40"},
    ),
    ("SentinelFailedToStart", 5, {f'{ENDED}"failed-to-start"}}': "0 0 0 1 1 1"}),
    *(
        (
            "SentinelFallbackBackend",
            6,
            {
                f'sentinel_run_info{{{RUN},backend="{backend}",command="web",version="1"}}': "1x6",
                f"sentinel_memory_current_bytes{{{RUN}}}": "5x6",
            },
        )
        for backend in ("rss", "cgroup-ro")
    ),
    (
        "SentinelSamplerStale",
        5,
        {
            f"sentinel_last_collection_timestamp_seconds{{{RUN}}}": "0 60 60 60 60 60",
            f'sentinel_run_state{{{RUN},state="watching"}}': "1x5",
            f'sentinel_run_state{{{RUN},state="done"}}': "0x5",
        },
    ),
]


@pytest.mark.parametrize(("name", "minute", "series"), CAUSES, ids=[name for name, _, _ in CAUSES])
def test_an_alert_fires_for_its_cause(
    name: str, minute: int, series: Series, tmp_path: Path
) -> None:
    """What an alert is for makes it fire by some minute, and it is not there from the start."""
    count = f'count(ALERTS{{alertname="{name}",alertstate="firing",{RUN}}})'
    asked: list[dict[str, Any]] = [
        {"expr": count, "eval_time": "0m", "exp_samples": []},
        {"expr": count, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": 1}]},
    ]
    passes(str(tmp_path), case(series, promql_expr_test=asked))


SILENT: dict[str, Series] = {
    "growth that is uncertain": {
        f"sentinel_memory_limit_eta_seconds{{{RUN}}}": "900x30",
        f"sentinel_memory_growth_confidence_ratio{{{RUN}}}": "0.5x30",
    },
    "a limit that is met without waiting": {
        f'sentinel_memory_events_total{{{RUN},event="high"}}': "0+100x30",
        f'sentinel_pressure_seconds_total{{{RUN},resource="memory",kind="some"}}': "0+1x30",
    },
    "waiting for memory that is others' doing": {
        f'sentinel_memory_events_total{{{RUN},event="high"}}': "0x30",
        f'sentinel_pressure_seconds_total{{{RUN},resource="memory",kind="some"}}': "0+9x30",
    },
    "ends that are a command's own": {
        f'{ENDED}"exited"}}': "0+1x30",
        f'{ENDED}"signalled"}}': "0+1x30",
        f'{ENDED}"stopped"}}': "0+1x30",
    },
    "two ends at a limit": {f'{ENDED}"soft-limit"}}': "0x9 1x9 2x10"},
    "a run that is over": {
        f"sentinel_last_collection_timestamp_seconds{{{RUN}}}": "0x30",
        f'sentinel_run_state{{{RUN},state="done"}}': "1x30",
        f'sentinel_run_info{{{RUN},backend="rss",command="web",version="1"}}': "1x30",
    },
}


@pytest.mark.parametrize("what", SILENT)
def test_nothing_fires_without_a_cause(what: str, tmp_path: Path) -> None:
    """No alert at all fires for what is nobody's trouble."""
    asked = [
        {
            "expr": 'count(count_over_time(ALERTS{alertstate="firing"}[1h]))',
            "eval_time": "30m",
            "exp_samples": [],
        }
    ]
    passes(str(tmp_path), case(SILENT[what], promql_expr_test=asked))


def test_an_alert_says_in_words_what_is_wrong_with_which_run(tmp_path: Path) -> None:
    """The texts of an alert are filled in: the run, and the figure in a person's unit."""
    labels = {"run": "web", "job": "sentinel", "instance": "127.0.0.1:8000"}
    expected = {
        "exp_labels": {**labels, "severity": "critical", "class": "leak"},
        "exp_annotations": {
            "summary": "web reaches its memory limit in 13m 0s",
            "description": "The memory of web grows steadily and reaches the soft limit in 13m 0s."
            " Then the run is asked to stop. To give it more time, raise its limit or let it"
            " finish its work now.",
        },
    }
    test = {"eval_time": "3m", "alertname": "SentinelLimitNear", "exp_alerts": [expected]}
    (series,) = [made for name, _, made in CAUSES if name == "SentinelLimitNear"]
    passes(str(tmp_path), case(series, alert_rule_test=[test]))


def alerts() -> list[dict[str, Any]]:
    """Every alerting rule of the project."""
    found = []
    for path in RULES:
        with open(path, encoding="utf-8") as file:
            groups = yaml.safe_load(file)["groups"]
        found += [rule for group in groups for rule in group["rules"] if "alert" in rule]
    return found


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_has_all_that_its_reader_needs(rule: dict[str, Any]) -> None:
    """Each has a severity and a class, and a summary and a description that name the run."""
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert re.fullmatch("[a-z]+", rule["labels"]["class"])
    assert set(rule["annotations"]) == {"summary", "description"}
    for text in rule["annotations"].values():
        assert "$labels.run" in text


def test_every_alert_is_tested() -> None:
    """No alert is without a case here that makes it fire."""
    fired = {name for _, windows in CASES for name in windows}
    fired |= {name for name, _, _ in CAUSES}
    assert fired == {rule["alert"] for rule in alerts()}


def test_promtool_finds_nothing_wrong() -> None:
    """The configuration is valid, and so are both files of rules that it names."""
    shown = told("check", "config", os.path.join(ROOT, "prometheus/prometheus.yml"))
    assert "SUCCESS: 2 rule files found" in shown
    assert len(re.findall(r"SUCCESS: \d+ rules found", shown)) == 2

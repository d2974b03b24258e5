"""The dashboard of all runs: which of them needs a look."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, stat, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.models import common as shapes

from grafana import panels
from grafana.pages import page
from grafana.panels import BLUE, GREEN, ORANGE, RED
from grafana.run import LIMITS, runs_table

UID = "sentinel-fleet"
USED = "sentinel_memory_working_set_bytes / sentinel_memory_soft_limit_bytes"
OVER = 'sentinel_run_state{state=~"pressed|terminating|lingering|killing"} == 1'
ENDED = f'sentinel_runs_ended_total{{verdict=~"{LIMITS}"}}'
ALERTS = 'ALERTS{alertname=~"Sentinel.*",alertstate="firing",severity!="info"}'
ETA = "sentinel_memory_limit_eta_seconds"


ALARM = panels.steps((None, GREEN), (1, RED))


def headline() -> list[stat.Panel]:
    """How many there are, and how many need a look."""
    live = panels.figure(
        "Live runs",
        "none",
        [('count(sentinel_run_state{state!~"done|failed"} == 1) or vector(0)', "runs")],
        "Runs that are guarded now.",
    )
    over = panels.figure(
        "Pressed or stopping",
        "none",
        [(f"count({OVER}) or vector(0)", "runs")],
        "Runs that are over their limit, were asked to stop, or are being killed.",
    ).thresholds(ALARM)
    ended = (
        panels.figure(
            "Ended at a memory limit",
            "none",
            [(f"sum(last_over_time({ENDED}[$__range]))", "")],
            "Runs of the names seen in this time range, ever since their counters began.",
        )
        .mappings(panels.words("no runs"))
        .thresholds(panels.steps((None, BLUE), (1, ORANGE)))
    )
    alerts = panels.figure(
        "Alerts firing",
        "none",
        [(f"count({ALERTS}) or vector(0)", "alerts")],
        "Without those of severity info. What they say stands in Prometheus, under Alerts.",
    ).thresholds(ALARM)
    return [live, over, *extremes(), ended, alerts]


def extremes() -> list[stat.Panel]:
    """Which run to look at first."""
    # One answer alone would be shown without the name of its run.
    named = shapes.BigValueTextMode.VALUE_AND_NAME
    nearest = (
        panels.figure(
            "Nearest to its limit",
            "percentunit",
            [(f"topk(1, {USED})", "{{run}}")],
            "The run whose working set is the largest part of its soft limit.",
        )
        .text_mode(named)
        .mappings(panels.words("no live run"))
        .thresholds(panels.steps((None, GREEN), (0.75, ORANGE), (0.9, RED)))
    )
    never = f'label_replace(min(clamp_max({ETA}, {panels.FOREVER})), "run", "all runs", "", "")'
    soonest = (
        panels.figure(
            "Soonest at its limit",
            "s",
            [(f"bottomk(1, {ETA} < Inf) or on () {never}", "{{run}}")],
            "The run that reaches its soft limit first at its present growth.",
        )
        .text_mode(named)
        .mappings(panels.words("not known", "not growing"))
        .thresholds(panels.steps((None, RED), (1800, ORANGE), (14400, GREEN)))
    )
    return [nearest, soonest]


def used() -> bargauge.Panel:
    """The fullest runs."""
    return (
        panels.bars(
            "Used of the soft limit",
            "percentunit",
            [(f"topk(20, {USED})", "{{run}}")],
            "The twenty fullest runs. At 100% a run is asked to stop.",
        )
        .max(1)
        .thresholds(panels.steps((None, GREEN), (0.75, ORANGE), (0.9, RED)))
    )


def anon() -> timeseries.Panel:
    """The leak signal of everybody."""
    return panels.curves(
        "Anonymous memory",
        "bytes",
        [("topk(20, sentinel_memory_anon_bytes)", "{{run}}")],
        "The twenty largest. What only climbs is worth a look at its staircase.",
    )


def ends() -> timeseries.Panel:
    """How runs ended, over time."""
    rate = "increase(sentinel_runs_ended_total[$__rate_interval])"
    return panels.stacked(
        panels.curves(
            "Ends by verdict",
            "short",
            [(f"sum by (verdict) ({rate})", "{{verdict}}")],
            "Runs that ended. exited is their own doing; what begins with soft or hard is memory.",
        )
    )


def actions() -> timeseries.Panel:
    """What Sentinel did."""
    rate = "increase(sentinel_actions_total[$__rate_interval])"
    return panels.curves(
        "What Sentinel did",
        "short",
        [(f"sum by (action) ({rate})", "{{action}}")],
        "lift is the soft limit taken away before a signal, so that the run can clean up at full"
        " speed; sigkill and cgroup_kill are graces that were over.",
    )


def dashboard() -> Dashboard:
    """The page."""
    built = page("Sentinel: all runs", UID, with_run=False)
    for panel in headline():
        built = built.with_panel(panel)
    built = built.with_panel(used().height(10).span(8)).with_panel(anon().height(10).span(16))
    built = built.with_panel(runs_table('run=~".+"').height(10).span(24))
    reaction = panels.histogram(
        "Reactions",
        "sentinel_reaction_seconds",
        'run=~".+"',
        "How long it took from the kernel's word until the polite signal was sent.",
    )
    built = built.with_panel(ends().height(9).span(9)).with_panel(actions().height(9).span(9))
    return built.with_panel(reaction.height(9).span(6))

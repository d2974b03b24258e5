"""The dashboard of one run, which is home: is it leaking, when does it end, what is it made of."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries
from grafana_foundation_sdk.builders.common import ScaleDistributionConfig
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.models import common as shapes

from grafana import panels
from grafana.pages import page
from grafana.panels import BLUE, DARK_RED, GREEN, ORANGE, PURPLE, RED, YELLOW

UID = "sentinel-run"
RUNS = 'run=~"$run"'
LIMITS = "soft-limit|soft-limit-killed|hard-limit|ancestor-limit|host-oom"
"""Verdicts of a run that ran out of memory."""

SOFT = f"sentinel_memory_soft_limit_bytes{{{RUNS}}}"
ANON = f"sentinel_memory_anon_bytes{{{RUNS}}}"
GROWTH = f"sentinel_memory_growth_bytes_per_second{{{RUNS}}}"
ETA = f"sentinel_memory_limit_eta_seconds{{{RUNS}}}"
TOP = f"1.25 * {SOFT}"
"""Where a forecast is cut off: far over the limit it would only flatten everything else."""

EVER = f"last_over_time(sentinel_runs_ended_total{{{RUNS}}}[$__range])"

FORECAST = f"({ANON} + 60 * {GROWTH} < {TOP}) or ({TOP} and {GROWTH})"


def staircase() -> timeseries.Panel:
    """The picture that all of this is for."""
    why = (
        "Orange is what the run holds and cannot give back by itself; blue is its floor, the least"
        " of the last minute. A floor that climbs from step to step is a leak. At the red line the"
        " run is asked to stop, at the dark red one the kernel kills it. Purple is where the memory"
        " will be in one minute at the pace of now."
    )
    queries = [
        (ANON, "{{run}} anon"),
        (f"min_over_time({ANON}[1m])", "{{run}} floor"),
        (f"sentinel_memory_working_set_bytes{{{RUNS}}}", "{{run}} working set"),
        (FORECAST, "{{run}} in 1 min"),
        (SOFT, "{{run}} soft limit"),
        (f"sentinel_memory_hard_limit_bytes{{{RUNS}}}", "{{run}} hard limit"),
    ]
    dots = {"fill": "dot", "dash": [2, 6]}
    return (
        panels.curves("Staircase", "bytes", queries, why)
        .height(12)
        .span(24)
        .override_by_regexp("/ anon$/", panels.line(ORANGE, fillOpacity=12))
        .override_by_regexp(
            "/ floor$/", panels.line(BLUE, lineWidth=3, lineInterpolation="stepAfter")
        )
        .override_by_regexp("/ working set$/", panels.line(YELLOW, lineWidth=1))
        .override_by_regexp("/ in 1 min$/", panels.line(PURPLE, lineStyle=dots))
        .override_by_regexp("/ soft limit$/", panels.limit(RED))
        .override_by_regexp("/ hard limit$/", panels.limit(DARK_RED))
    )


def state() -> stat.Panel:
    """What becomes of the run just now."""
    live = f'sentinel_run_state{{{RUNS},state!~"done|failed"}} == 1'
    # Where names are shown, Grafana shows nothing at all for no answer.
    nobody = 'label_replace(vector(1), "shown", "no live run", "", "")'
    query = f'label_join({live}, "shown", ": ", "run", "state") or on () {nobody}'
    return (
        panels.figure(
            "State",
            "none",
            [(query, "{{shown}}")],
            "Watching is well. Pressed: over the soft limit, being looked at. Terminating: asked to"
            " stop. Lingering: only children are left. Killing: the grace is over.",
        )
        .text_mode(shapes.BigValueTextMode.NAME)
        .override_by_regexp("/: watching$/", panels.line(GREEN))
        .override_by_regexp("/: pressed$/", panels.line(ORANGE))
        .override_by_regexp("/: (terminating|lingering|killing)$/", panels.line(RED))
    )


def used() -> stat.Panel:
    """How near it is."""
    return (
        panels.figure(
            "Used of the soft limit",
            "percentunit",
            [(f"sentinel_memory_working_set_bytes{{{RUNS}}} / {SOFT}", "{{run}}")],
            "The working set, which reclaim cannot free, over the soft limit. At 100% the run is"
            " asked to stop.",
        )
        .mappings(panels.words("no live run"))
        .thresholds(panels.steps((None, GREEN), (0.75, ORANGE), (0.9, RED)))
    )


def trend() -> list[stat.Panel]:
    """Where it is going."""
    eta = (
        panels.figure(
            "Time to the soft limit",
            "s",
            [(f"clamp_max({ETA}, {panels.FOREVER})", "{{run}}")],
            "At the present growth. It is known after twenty seconds, as long as the run is live.",
        )
        .mappings(panels.words("not known", "not growing"))
        .thresholds(panels.steps((None, RED), (1800, ORANGE), (14400, GREEN)))
    )
    growth = (
        panels.figure(
            "Growth",
            "binBps",
            [(GROWTH, "{{run}}")],
            "How fast the floor of the anonymous memory rises. Orange from 1 MiB an hour on.",
        )
        .mappings(panels.words("not known"))
        .thresholds(panels.steps((None, GREEN), (300, ORANGE)))
    )
    sure = (
        panels.figure(
            "How steady",
            "percentunit",
            [(f"sentinel_memory_growth_confidence_ratio{{{RUNS}}}", "{{run}}")],
            "Over 70% it is growth; under that it is noise.",
        )
        .mappings(panels.words("not known"))
        .thresholds(panels.steps((None, GREEN), (0.7, ORANGE)))
    )
    return [eta, growth, sure]


def ended() -> stat.Panel:
    """What became of its like."""
    return (
        panels.figure(
            "Ended so far",
            "none",
            [(f"sum by (verdict) ({EVER}) > 0", "{{verdict}}")],
            "How earlier runs of this name ended, and how often.",
        )
        .text_mode(shapes.BigValueTextMode.VALUE_AND_NAME)
        .mappings(panels.words("not yet"))
    )


def headline() -> list[stat.Panel]:
    """What to know before anything else is read."""
    return [state(), used(), *trend(), ended()]


def composition() -> timeseries.Panel:
    """What the memory is made of."""
    query = (f"sum by (kind) (sentinel_memory_composition_bytes{{{RUNS}}})", "{{kind}}")
    return panels.stacked(
        panels.curves(
            "Composition",
            "bytes",
            [query],
            "The parts sum to memory.current. Growing anon is the program's own memory; file is"
            " page cache, which is given back under pressure; kernel and sock are held for it by"
            " the kernel.",
        )
    ).override_by_name("anon", panels.line(ORANGE))


def eta() -> timeseries.Panel:
    """The course of the time that is left."""
    scale = ScaleDistributionConfig().type(shapes.ScaleDistribution.LOG).log(10)
    course = panels.curves(
        "ETA: time to the soft limit",
        "s",
        [(f"{ETA} < Inf", "{{run}}")],
        "On a logarithmic scale. A line that falls as the clock runs is a leak that keeps its pace;"
        " no line means that nothing grows.",
    )
    return course.scale_distribution(scale).min(1)  # which has no 0


def events() -> timeseries.Panel:
    """What the kernel has told."""
    return panels.curves(
        "Memory events",
        "eps",
        [
            (
                f"sum by (event) (rate(sentinel_memory_events_total{{{RUNS}}}[$__rate_interval]))",
                "{{event}}",
            ),
            (
                f"sum (rate(sentinel_memory_high_ignored_total{{{RUNS}}}[$__rate_interval]))",
                "high, page cache only",
            ),
        ],
        "From memory.events. High: the soft limit was met; with page cache alone nobody is"
        " signalled. Max: the hard limit was met. oom_kill: the kernel killed.",
    ).override_by_regexp("/^oom/", panels.line(DARK_RED))


def pressure() -> timeseries.Panel:
    """How much of its time the run waits."""
    rate = f"rate(sentinel_pressure_seconds_total{{{RUNS}}}[$__rate_interval])"
    return panels.curves(
        "Pressure (PSI)",
        "percentunit",
        [(f"max by (resource, kind) ({rate})", "{{resource}}, {{kind}}")],
        "Share of the time in which some or all tasks waited. Waiting for memory beside rising"
        " high events is a run that is throttled: alive, and getting nothing done.",
    ).override_by_name("memory, some", panels.line(ORANGE))


def runs() -> table.Panel:
    """Runs with their verdicts."""
    return runs_table(RUNS).span(14)


def runs_table(chosen: str) -> table.Panel:
    """A row for each run of `chosen` (label matchers) and each verdict that it ever had."""
    kept = "last_over_time({}{{" + chosen + "}}[$__range])"
    queries = [
        (f"max by (run, backend, command) ({kept.format('sentinel_run_info')})", ""),
        (f"max by (run, state) ({kept.format('sentinel_run_state')} == 1)", ""),
        (f"max by (run) (sentinel_memory_working_set_bytes{{{chosen}}})", ""),
        (f"max by (run) ({kept.format('sentinel_memory_peak_bytes')})", ""),
        (f"max by (run) (sentinel_memory_soft_limit_bytes{{{chosen}}})", ""),
        (f"sum by (run, verdict) ({kept.format('sentinel_runs_ended_total')} > 0)", ""),
    ]
    columns = {
        "run": "Run",
        "command": "Command",
        "backend": "Backend",
        "state": "State",
        "Value #C": "Working set",
        "Value #E": "Soft limit",
        "Value #D": "Peak",
        "verdict": "Verdict",
        "Value #F": "Times",
    }
    why = "Runs of this time range. A verdict is there once a run of that name has ended with it."
    built = panels.joined("Runs and verdicts", queries, columns, why)
    for heading in ("Working set", "Soft limit", "Peak"):
        built = built.override_by_name(heading, [panels.setting("unit", "bytes")])
    address = f"/d/{UID}?var-run=${{__value.text}}&${{__url_time_range}}"
    links = [{"title": "Show this run", "url": address}]
    return built.override_by_name("Run", [panels.setting("links", links)])


def terminations() -> bargauge.Panel:
    """How long stops took."""
    return panels.histogram(
        "Terminations",
        "sentinel_termination_seconds",
        RUNS,
        "How long it took from the polite signal until the run was empty. Bars at the length of the"
        " grace are runs that had to be killed.",
    ).span(10)


def dashboard() -> Dashboard:
    """The page."""
    built = page("Sentinel: one run", UID, with_run=True)
    for number in headline():
        built = built.with_panel(number)
    built = built.with_panel(staircase())
    for curve in (composition(), eta(), events(), pressure()):
        built = built.with_panel(curve.height(9).span(12))
    return built.with_panel(runs()).with_panel(terminations().height(9))

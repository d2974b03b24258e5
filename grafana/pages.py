"""What both dashboards are before they have a panel: range, refresh, variables, links."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    VariableHide,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from grafana.panels import SOURCE

TAG = "sentinel"
ENDED = 'increase(sentinel_runs_ended_total{run=~"$run"}[$__rate_interval])'


def page(title: str, uid: str, *, with_run: bool) -> dashboard.Dashboard:
    """An empty page: the last 15 minutes, read again every 5 s, read-only."""
    built = (
        dashboard.Dashboard(title)
        .uid(uid)
        .tags([TAG])
        .readonly()
        .time("now-15m", "now")
        .refresh("5s")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.DatasourceVariable("datasource")
            .label("Prometheus")
            .type("prometheus")
            .current(VariableOption(selected=True, text="Prometheus", value="prometheus"))
        )
        .link(
            dashboard.DashboardLink("Sentinel")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .keep_time(True)
        )
    )
    return built.with_variable(_run()).annotation(_ends()) if with_run else built


def _run() -> dashboard.QueryVariable:
    """The choice of runs, all of them to begin with."""
    return (
        dashboard.QueryVariable("run")
        .label("Run")
        .datasource(SOURCE)
        .query({"query": "label_values(sentinel_run_info, run)", "refId": "run"})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(VariableOption(selected=True, text=["All"], value=["$__all"]))
        .hide(VariableHide.DONT_HIDE)
    )


def _ends() -> dashboard.AnnotationQuery:
    """A mark where a run ended."""
    return (
        dashboard.AnnotationQuery()
        .name("Ended")
        .datasource(SOURCE)
        .enable(True)
        .icon_color("red")
        .expr(f"sum by (run, verdict) ({ENDED}) > 0")
    )

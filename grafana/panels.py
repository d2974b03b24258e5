"""Panels as both dashboards use them: one look, one source of data, one way to mark a limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models.dashboard import (
    DashboardSpecialValueMapOptions,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
"""What a person chose at the top of the page; never an address, never an __inputs entry."""

ORANGE, BLUE, RED, DARK_RED, PURPLE = "orange", "blue", "red", "dark-red", "purple"
GREEN, YELLOW = "green", "yellow"

FOREVER = 1_000_000_000
"""Seconds that stand for +Inf, which no unit can show."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

Queries = Sequence[tuple[str, str]]
"""Expression and what its line is called, with the labels in double braces."""


def targets(queries: Queries) -> list[prometheus.Dataquery]:
    """Queries over time."""
    return [
        prometheus.Dataquery().expr(expr).legend_format(legend).range().ref_id(letter)
        for letter, (expr, legend) in zip(LETTERS, queries, strict=False)
    ]


def now(
    queries: Queries, shape: PromQueryFormat = PromQueryFormat.TIME_SERIES
) -> list[prometheus.Dataquery]:
    """Queries of the last moment only."""
    return [query.instant().format(shape) for query in targets(queries)]


def steps(*levels: tuple[float | None, str]) -> ThresholdsConfig:
    """Colours by value; the first has no bound."""
    return (
        ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value, color) for value, color in levels])
    )


def words(nothing: str, forever: str = "") -> list[ValueMapping]:
    """What stands where there is no number, and in place of `FOREVER`.

    With a colour of its own: what is unknown would have that of the lowest threshold.
    """
    unknown = DashboardSpecialValueMapOptions(
        SpecialValueMatch.NULL, ValueMappingResult(nothing, BLUE)
    )
    found: list[ValueMapping] = [SpecialValueMap(unknown)]
    if forever:
        found.append(ValueMap({str(FOREVER): ValueMappingResult(forever, GREEN)}))
    return found


def curves(title: str, unit: str, queries: Queries, why: str) -> timeseries.Panel:
    """Lines over time, with a legend that tells the last and the largest value."""
    return (
        timeseries.Panel()
        .title(title)
        .description(why)
        .datasource(SOURCE)
        .targets(list(targets(queries)))
        .unit(unit)
        .min(0)
        .line_width(2)
        .fill_opacity(0)
        .show_points(shapes.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(shapes.LegendDisplayMode.TABLE)
            .placement(shapes.LegendPlacement.RIGHT)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI))
    )


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """The same as areas, one on the other."""
    return panel.fill_opacity(60).stacking(
        common.StackingConfig().mode(shapes.StackingMode.NORMAL).group("A")
    )


def line(color: str, **more: object) -> list[DynamicConfigValue]:
    """How one line of a panel differs from the others: its colour, and settings by their ids."""
    found = [DynamicConfigValue("color", {"mode": "fixed", "fixedColor": color})]
    return found + [DynamicConfigValue(f"custom.{key}", value) for key, value in more.items()]


def limit(color: str) -> list[DynamicConfigValue]:
    """A limit: dashed, in steps, because it jumps and never slopes."""
    dashes = {"fill": "dash", "dash": [10, 6]}
    return line(color, lineStyle=dashes, lineInterpolation="stepAfter", lineWidth=2, fillOpacity=0)


def figure(title: str, unit: str, queries: Queries, why: str) -> stat.Panel:
    """One number as it is now, large."""
    return (
        stat.Panel()
        .title(title)
        .description(why)
        .datasource(SOURCE)
        .targets(list(now(queries)))
        .unit(unit)
        .height(4)
        .span(4)
        .color_mode(shapes.BigValueColorMode.BACKGROUND)
        .graph_mode(shapes.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .thresholds(steps((None, BLUE)))
    )


def bars(title: str, unit: str, queries: Queries, why: str) -> bargauge.Panel:
    """One bar for each answer."""
    return (
        bargauge.Panel()
        .title(title)
        .description(why)
        .datasource(SOURCE)
        .targets(list(now(queries)))
        .unit(unit)
        .min(0)
        .orientation(shapes.VizOrientation.HORIZONTAL)
        .display_mode(shapes.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .thresholds(steps((None, BLUE)))
    )


def histogram(title: str, metric: str, runs: str, why: str) -> bargauge.Panel:
    """How often it took how long: one bar for each bucket, all runs that ended so far."""
    expr = f"sum by (le) (last_over_time({metric}_bucket{{{runs}}}[$__range]))"
    # In the heatmap's format Grafana takes the running totals of `le` apart.
    return bars(title, "short", [(expr, "≤ {{le}} s")], why).targets(
        list(now([(expr, "≤ {{le}} s")], PromQueryFormat.HEATMAP))
    )


def joined(title: str, queries: Queries, columns: Mapping[str, str], why: str) -> table.Panel:
    """A table with a row for each run: queries joined by `run`, only `columns`, in their order.

    `columns` maps a label, or "Value #A" for the value of the first query, to its heading.
    """
    names = "|".join(columns)
    shown = [
        DataTransformerConfig(
            "filterFieldsByName", options={"include": {"pattern": f"/^({names})$/"}}
        ),
        DataTransformerConfig("joinByField", options={"byField": "run", "mode": "outerTabular"}),
        DataTransformerConfig(
            "organize",
            options={
                "excludeByName": {},
                "indexByName": {name: place for place, name in enumerate(columns)},
                "renameByName": dict(columns),
            },
        ),
    ]
    return (
        table.Panel()
        .title(title)
        .description(why)
        .datasource(SOURCE)
        .targets(list(now(queries, PromQueryFormat.TABLE)))
        .transformations(shown)
        .show_header(True)
        .height(9)
    )


def setting(name: str, value: object) -> DynamicConfigValue:
    """One setting of a column or line."""
    return DynamicConfigValue(name, value)

"""The rows of all runs as prometheus_client's metric families, in a registry of their own.

Made anew for each scrape: nothing of prometheus_client's global state is used, and by the time
that it is asked to collect there is nothing left that could raise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from sentinel import __version__
from sentinel.metrics.catalogue import (
    BUILD_INFO,
    CATALOGUE,
    RUN,
    Histogram,
    Kind,
    Row,
    Value,
    clean,
)
from sentinel.metrics.encoding import chosen, encoded
from sentinel.metrics.survey import View

_TOTAL = "_total"
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Page(NamedTuple):
    """What a scraper is sent."""

    body: bytes
    content_type: str


class RunCollector(Collector):
    """The table filled with what was seen of the runs."""

    def __init__(self, views: Sequence[View]) -> None:
        """`views` have different names."""
        self._views = views

    def collect(self) -> Iterable[Metric]:
        """One family for each row that any run has."""
        for row in CATALOGUE:
            found = [
                ([clean(view.name), *map(clean, labels)], value)
                for view in self._views
                for labels, value in view.values.get(row.name, {}).items()
            ]
            if found:
                yield _family(row, found)
        build = GaugeMetricFamily(BUILD_INFO.name, BUILD_INFO.help, labels=BUILD_INFO.labels)
        build.add_metric([__version__], 1)
        yield build


def _family(row: Row, found: Sequence[tuple[list[str], Value]]) -> Metric:
    labels = (RUN, *row.labels)
    if row.kind is Kind.HISTOGRAM:
        family = HistogramMetricFamily(row.name, row.help, labels=labels)
        for values, value in found:
            if isinstance(value, Histogram):
                family.add_metric(values, list(_cumulative(row, value)), value.total)
        return family
    make = CounterMetricFamily if row.kind is Kind.COUNTER else GaugeMetricFamily
    numbers = make(row.name.removesuffix(_TOTAL), row.help, labels=labels)
    for values, value in found:
        if not isinstance(value, Histogram):
            numbers.add_metric(values, value)
    return numbers


def _cumulative(row: Row, value: Histogram) -> Iterator[tuple[str, float]]:
    bounds = (*map(floatToGoString, row.buckets), "+Inf")
    return zip(bounds, map(float, accumulate(value.counts)), strict=True)


def page(views: Sequence[View], accept: str) -> Page:
    """All runs, and what the exporter itself costs, in the format that `accept` prefers."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RunCollector(views))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    encode, content_type = chosen(accept)
    return Page(encode(registry), content_type)


def text(views: Sequence[View]) -> Page:
    """The runs alone, as text: a collector that reads files has a process_cpu_* of its own."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RunCollector(views))
    return Page(encoded(registry), _TEXT)

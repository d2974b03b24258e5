"""The pages' own encoder writes what prometheus_client's encoders write."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.openmetrics import exposition as open_exposition
from prometheus_client.registry import Collector

from sentinel.metrics.catalogue import Values
from sentinel.metrics.collector import RunCollector
from sentinel.metrics.encoding import chosen, encoded
from sentinel.metrics.survey import View
from tests.metrics.test_collector import ODD, PROMETHEUS, every_row

NUMBERS = (
    0.0,
    1.0,
    0.1,
    -2.5,
    1e6,
    999999.5,
    123456789.0,
    1e21,
    1e-9,
    math.inf,
    -math.inf,
    math.nan,
)
ACCEPTS = (
    *("", "*/*", "text/plain", "text/plain;version=0.0.4", "text/plain;version=1.0.0", PROMETHEUS),
    *("application/openmetrics-text", "application/openmetrics-text;version=0.0.1"),
    *(
        f"{kind};version=1.0.0;escaping={how}"
        for kind in ("application/openmetrics-text", "text/plain")
        for how in ("allow-utf-8", "underscores", "dots", "values", "none-such")
    ),
)


def generate_open(source: Collector) -> bytes:
    """The library's own page in OpenMetrics."""
    return bytes(open_exposition.generate_latest(source))  # type: ignore[no-untyped-call]


class Given(Collector):
    """Tells what it was given."""

    def __init__(self, *metrics: Metric) -> None:
        """`metrics` are told in this order."""
        self._metrics = metrics

    def collect(self) -> tuple[Metric, ...]:
        """The same every time."""
        return self._metrics


def registry() -> CollectorRegistry:
    """Every row of two runs, one of them oddly named, and an interpreter."""
    views = [View("worker", every_row()), View(ODD, every_row())]
    made = CollectorRegistry(auto_describe=False)
    made.register(RunCollector(views))
    PlatformCollector(registry=made)
    return made


@pytest.mark.parametrize("accept", ACCEPTS)
def test_a_page_is_that_of_the_library_byte_for_byte(accept: str) -> None:
    """Whatever format a scraper asks for, and whichever way of escaping."""
    encode, content_type = chosen(accept)
    theirs, told = choose_encoder(accept)
    assert content_type == told
    assert encode(registry()) == theirs(registry())


@given(st.text(), st.text(), st.floats())
def test_any_label_help_and_number_is_written_alike(value: str, told: str, number: float) -> None:
    """Also where a value comes twice, and where there is no label."""
    value = value.encode(errors="replace").decode()
    told = told.encode(errors="replace").decode()
    family = GaugeMetricFamily("sentinel_tasks", told, labels=("run", "kind", "above"))
    for kind in ("a", "b"):
        family.add_metric([value, kind, value], number)
    source = Given(family, GaugeMetricFamily("plain", told, value=number))
    assert encoded(source) == generate_latest(source)
    assert encoded(source, open_metrics=True) == generate_open(source)


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_are_written_as_go_does(number: float) -> None:
    """Both formats, also what is no finite number."""
    values: Values = {"sentinel_memory_limit_eta_seconds": {(): number}}
    source = RunCollector([View("worker", values)])
    assert encoded(source) == generate_latest(source)
    assert encoded(source, open_metrics=True) == generate_open(source)


def test_the_exporters_own_collectors_are_written_alike() -> None:
    """Their names and types; their numbers are new each time."""

    def shape(body: bytes) -> list[bytes]:
        return [line.rpartition(b" ")[0] for line in body.splitlines()]

    collector = GCCollector(registry=CollectorRegistry())
    assert shape(encoded(collector)) == shape(generate_latest(collector))
    assert shape(encoded(collector, open_metrics=True)) == shape(generate_open(collector))

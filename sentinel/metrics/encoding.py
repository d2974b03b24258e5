"""Metric families as text: what prometheus_client writes, byte for byte, in a quarter of its time.

Its own encoders check and escape every name of every sample anew, which is most of what a scrape
of a hundred runs would take. Here a label's value and a number are written once for each page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial

from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_OPEN_METRICS = "application/openmetrics-text"
_ALIKE = ("allow-utf-8", "underscores")
"""Ways to escape names that leave such names as ours as they are."""


def chosen(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    """How to write what the header `accept` prefers, and what that is called."""
    encode, content_type = choose_encoder(accept)
    _, escapes, how = content_type.partition("escaping=")
    if escapes and how not in _ALIKE:
        return encode, content_type
    open_metrics = content_type.startswith(_OPEN_METRICS)
    return partial(encoded, open_metrics=open_metrics), content_type


def encoded(source: Collector, *, open_metrics: bool = False) -> bytes:
    """What `source` collects, in OpenMetrics or in Prometheus's text format.

    Gauges, counters and histograms, without units, timestamps and exemplars.
    """
    text = "".join(_lines(source.collect(), open_metrics=open_metrics))
    return (f"{text}# EOF\n" if open_metrics else text).encode()


def _lines(metrics: Iterable[Metric], *, open_metrics: bool) -> Iterator[str]:
    label, number = cache(_label), cache(floatToGoString)
    for metric in metrics:
        name, told = metric.name, _escaped(metric.documentation)
        if open_metrics:
            told = told.replace('"', r"\"")
        elif metric.type == "counter":
            name = f"{name}_total"
        yield f"# HELP {name} {told}\n# TYPE {name} {metric.type}\n"
        for sample in metric.samples:
            labels = ",".join([label(*item) for item in sorted(sample.labels.items())])
            braced = f"{{{labels}}}" if labels else ""
            yield f"{sample.name}{braced} {number(sample.value)}\n"


def _label(name: str, value: str) -> str:
    quoted = _escaped(value).replace('"', r"\"")
    return f'{name}="{quoted}"'


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")

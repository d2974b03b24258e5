"""The pages that scrapers are sent: both formats, any name, and a fresh registry."""

from __future__ import annotations

import math

import pytest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families

from sentinel import __version__
from sentinel.metrics.catalogue import CATALOGUE, ROWS, Histogram, Kind, Values
from sentinel.metrics.collector import page, text
from sentinel.metrics.exposition import formatted, run_text
from sentinel.metrics.survey import View
from tests.metrics.answers import ACTIONS, STATUS

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
"""What Prometheus 3 sends, shortened."""
ODD = b'quo"te\\ back\nline \xff'.decode(errors="surrogateescape")
ODD_SHOWN = 'quo"te\\ back\nline \\xff'

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def every_row() -> Values:
    """One value in every row of the table."""
    values: Values = {}
    for number, row in enumerate(CATALOGUE, 1):
        labels = tuple(f"{label}-{number}" for label in row.labels)
        if row.kind is Kind.HISTOGRAM:
            values[row.name] = {labels: Histogram((1,) * (len(row.buckets) + 1), 7.5)}
        else:
            values[row.name] = {labels: float(number)}
    return values


def series(body: str) -> Series:
    """What a page in the text format says, as Prometheus's own parser reads it."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


def test_every_row_is_on_the_page_with_its_help_and_type() -> None:
    """Names, labels and values of the table, and the version of the exporter."""
    body = text([View("worker", every_row())]).body.decode()
    for number, row in enumerate(CATALOGUE, 1):
        assert f"# HELP {row.name} {row.help}\n" in body
        assert f"# TYPE {row.name} {row.kind.value}\n" in body
        labels = [("run", "worker"), *((label, f"{label}-{number}") for label in row.labels)]
        if row.kind is Kind.HISTOGRAM:
            count = len(row.buckets) + 1
            found = series(body)
            assert found[f"{row.name}_count", tuple(sorted(labels))] == count
            assert found[f"{row.name}_sum", tuple(sorted(labels))] == 7.5
            assert found[f"{row.name}_bucket", tuple(sorted([*labels, ("le", "+Inf")]))] == count
        else:
            assert series(body)[row.name, tuple(sorted(labels))] == number
    assert series(body)["sentinel_build_info", (("version", __version__),)] == 1


def test_scrapers_choose_the_format() -> None:
    """OpenMetrics where it is asked for, else text; each is what its parser reads."""
    views = [View("worker", every_row())]
    plain, modern = page(views, ""), page(views, PROMETHEUS)
    assert plain.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert modern.content_type.startswith("application/openmetrics-text; version=1.0.0;")
    assert modern.body.endswith(b"# EOF\n")
    families = open_families(modern.body.decode())  # type: ignore[no-untyped-call]
    names = {sample.name for family in families for sample in family.samples}
    assert {name for name, _ in series(plain.body.decode())} >= {
        name for name in names if name.startswith("sentinel_")
    }


@pytest.mark.parametrize("accept", ["", PROMETHEUS])
@pytest.mark.parametrize(("name", "shown"), [(ODD, ODD_SHOWN), ("lone \ud800", "lone \\ud800")])
def test_any_name_can_be_a_label(accept: str, name: str, shown: str) -> None:
    """Quotes, backslashes, line ends, and bytes that are no UTF-8: data, never markup."""
    values: Values = {"sentinel_run_info": {("rss", name, "1"): 1.0}}
    body = page([View(name, values)], accept).body.decode()
    parse = open_families if accept else text_string_to_metric_families
    (sample,) = (s for f in parse(body) for s in f.samples if s.name == "sentinel_run_info")
    assert sample.labels == {
        "run": shown,
        "backend": "rss",
        "command": shown,
        "version": "1",
    }


def test_the_exporters_own_cost_is_told_to_scrapers_alone() -> None:
    """node_exporter has a process_* of its own: a text file must not bring another."""
    own = series(page([], "").body.decode())
    assert own["process_resident_memory_bytes", ()] > 0
    assert {"python_info", "python_gc_collections_total"} <= {name for name, _ in own}
    assert {name for name, _ in series(text([]).body.decode())} == {"sentinel_build_info"}


def test_nothing_is_registered_globally() -> None:
    """A page leaves no trace in prometheus_client's global registry."""
    before = set(REGISTRY._names_to_collectors)  # noqa: SLF001 - there is no public list
    page([View("worker", every_row())], "")
    assert set(REGISTRY._names_to_collectors) == before  # noqa: SLF001
    assert not [name for name in before if name.startswith("sentinel")]


def test_runs_do_not_mix() -> None:
    """Each row of each run, once."""
    views = [View("a", {"sentinel_tasks": {(): 1}}), View("b", {"sentinel_tasks": {(): 2}})]
    found = series(text(views).body.decode())
    assert found["sentinel_tasks", (("run", "a"),)] == 1
    assert found["sentinel_tasks", (("run", "b"),)] == 2


def test_a_run_tells_of_itself_what_the_exporter_would() -> None:
    """The guard's own text and prometheus_client's say the same."""
    values = every_row()
    values["sentinel_memory_limit_eta_seconds"] = {(): math.inf}
    own = series(formatted(ODD, values))
    theirs = series(text([View(ODD, values)]).body.decode())
    del theirs["sentinel_build_info", (("version", __version__),)]
    assert own == theirs


def test_the_sockets_metrics_are_those_of_the_status() -> None:
    """A run without a leaf: the guard's readings; every row is of the catalogue."""
    body = run_text(STATUS._replace(growth=2.0), ACTIONS, 1005.0)
    found = series(body)
    run = ("run", "worker")
    assert found["sentinel_memory_current_bytes", (run,)] == 40 << 20
    assert found["sentinel_memory_growth_bytes_per_second", (run,)] == 2.0
    assert found["sentinel_memory_limit_eta_seconds", (run,)] == (70 << 20) / 2
    assert found["sentinel_last_collection_timestamp_seconds", (run,)] == 1005.0
    assert found["sentinel_run_state", (run, ("state", "watching"))] == 1
    assert found["sentinel_actions_total", (("action", "lift"), run)] == 1
    assert found["sentinel_runs_ended_total", (run, ("verdict", "exited"))] == 0
    bases = {name.rsplit("_bucket", 1)[0].rsplit("_sum", 1)[0] for name, _ in found}
    assert {name.removesuffix("_count") for name in bases} <= set(ROWS)


def test_a_run_that_does_not_grow_reaches_no_limit() -> None:
    """Unknown growth is absent, none is +Inf."""
    unknown = series(run_text(STATUS, ACTIONS, 1005.0))
    assert not [name for name, _ in unknown if "growth" in name or "eta" in name]
    body = run_text(STATUS._replace(growth=-1.0), ACTIONS, 1005.0)
    assert 'sentinel_memory_limit_eta_seconds{run="worker"} +Inf\n' in body

"""The dashboards are those of their source, ask for what there is, and are what Grafana reads."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.generate import generated
from sentinel.metrics.catalogue import BUILD_INFO, CATALOGUE, Kind
from tests.lab import ROOT
from tests.observability import dashboards, programs
from tests.observability.promtool import RULES

NAME = re.compile(r"\bsentinel_\w+")
PAGES = dashboards.read()
HERE = os.path.dirname(__file__)


def published() -> set[str]:
    """Every series that the collector can tell of, without Prometheus's own labels."""
    names = {BUILD_INFO.name}
    for row in CATALOGUE:
        if row.kind is Kind.HISTOGRAM:
            names |= {f"{row.name}_{part}" for part in ("bucket", "sum", "count")}
        else:
            names.add(row.name)
    return names


def expressions() -> dict[str, str]:
    """Every expression of panels, marks and rules, by what it belongs to."""
    found = {asked.whose: asked.expr for asked in dashboards.queries()}
    for path in RULES:
        with open(path, encoding="utf-8") as file:
            groups = yaml.safe_load(file)["groups"]
        for rule in (rule for group in groups for rule in group["rules"]):
            found[rule.get("alert") or rule["record"]] = rule["expr"]
    return found


def test_what_is_committed_is_what_the_source_makes() -> None:
    """`make dashboards` would change nothing, and nothing else is provisioned."""
    made = generated()
    assert {f"dashboards/{name}" for name in PAGES} == set(made)
    for path, text in made.items():
        assert Path(ROOT, "grafana", path).read_text(encoding="utf-8") == text, "make dashboards"


@pytest.mark.parametrize("whose", expressions())
def test_what_is_asked_for_is_what_the_collector_tells(whose: str) -> None:
    """Every series that a panel, mark or rule names is in the collector's table."""
    names = set(NAME.findall(re.sub(r"run:\w+:\w+", "", expressions()[whose])))
    assert names <= published()


def test_every_recorded_series_that_is_used_is_recorded() -> None:
    """A rule's name that another one uses is that of a recording rule, and each is used."""
    used = set(re.findall(r"run:\w+:\w+", " ".join(expressions().values())))
    assert used == {name for name in expressions() if ":" in name and name.startswith("run:")}


@pytest.mark.parametrize("name", PAGES)
def test_a_dashboard_survives_grafanas_own_types(name: str) -> None:
    """Read and written by Grafana's SDK a page has lost no key and no value: none is unknown."""
    read = Dashboard.from_json(json.loads(json.dumps(PAGES[name])))
    assert lost(PAGES[name], json.loads(json.dumps(read, cls=JSONEncoder))) == []


def lost(before: Any, after: Any, path: str = "") -> list[str]:
    """What of a JSON value is not in another."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            line for key in before for line in lost(before[key], after.get(key), f"{path}.{key}")
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            line
            for number, pair in enumerate(zip(before, after, strict=True))
            for line in lost(*pair, f"{path}[{number}]")
        ]
    return [] if before == after else [path]


def test_the_dashboards_are_of_grafanas_type(tmp_path: Path) -> None:
    """The TypeScript compiler accepts each page as a Dashboard, so every value is of its type."""
    lines = [Path(HERE, "page.ts").read_text(encoding="utf-8")]
    for number, page in enumerate(PAGES.values()):
        curves = [
            panel["fieldConfig"]["defaults"]["custom"]
            for panel in page["panels"]
            if panel["type"] == "timeseries"
        ]
        assert curves
        lines.append(f"const page{number}: Page = {json.dumps(page)};")
        lines.append(f"const curves{number}: Curves = {json.dumps(curves)};")
    (tmp_path / "page.ts").write_text("\n".join([*lines, ""]), encoding="utf-8")
    (tmp_path / "node_modules").symlink_to(programs.modules())
    tsc = os.path.join(programs.modules(), "typescript/bin/tsc")
    options = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022"]
    options += ["--module", "nodenext", "--moduleResolution", "nodenext"]
    argv = ["node", tsc, *options, "page.ts"]
    done = subprocess.run(
        argv, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.parametrize("name", PAGES)
def test_a_dashboard_is_live_and_can_be_moved(name: str) -> None:
    """15 minutes, every 5 s, from the data source that its reader chose, under a lasting name."""
    page = PAGES[name]
    assert (page["time"], page["refresh"]) == ({"from": "now-15m", "to": "now"}, "5s")
    assert page["uid"] == name.removesuffix(".json")
    assert page["editable"] is False
    assert "__inputs" not in page
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert [panel["datasource"] for panel in page["panels"]] == [source] * len(page["panels"])
    variables = {variable["name"]: variable for variable in page["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == (
        "datasource",
        "prometheus",
    )


def panel(title: str) -> dict[str, Any]:
    """A panel of the run's dashboard."""
    (found,) = [made for made in PAGES["sentinel-run.json"]["panels"] if made["title"] == title]
    return dict(found)


def test_one_runs_page_has_the_panels_that_show_a_leak() -> None:
    """Staircase, composition, ETA, events beside pressure, verdicts and terminations are there."""
    titles = [made["title"] for made in PAGES["sentinel-run.json"]["panels"]]
    assert titles[6:] == [
        "Staircase",
        "Composition",
        "ETA: time to the soft limit",
        "Memory events",
        "Pressure (PSI)",
        "Runs and verdicts",
        "Terminations",
    ]
    events, pressure = panel("Memory events")["gridPos"], panel("Pressure (PSI)")["gridPos"]
    assert (events["y"], events["x"], pressure["x"]) == (pressure["y"], 0, 12)


def test_limits_are_steps_and_every_curve_has_one_look() -> None:
    """Each line of the staircase is drawn by exactly one rule; limits and floor jump in steps."""
    made = panel("Staircase")
    rules = {
        rule["matcher"]["options"].strip("/"): {p["id"]: p["value"] for p in rule["properties"]}
        for rule in made["fieldConfig"]["overrides"]
    }
    for target in made["targets"]:
        matching = [rule for rule in rules if re.search(rule, target["legendFormat"])]
        assert len(matching) == 1, target["legendFormat"]
    stepped = {
        rule for rule, of in rules.items() if of.get("custom.lineInterpolation") == "stepAfter"
    }
    assert stepped == {" floor$", " soft limit$", " hard limit$"}


def test_a_choice_of_runs_begins_with_all_of_them() -> None:
    """The variable `run` lists the runs that there are and selects them all."""
    variables = PAGES["sentinel-run.json"]["templating"]["list"]
    (run,) = [variable for variable in variables if variable["name"] == "run"]
    assert run["query"]["query"] == "label_values(sentinel_run_info, run)"
    assert (run["includeAll"], run["multi"], run["allValue"]) == (True, True, ".+")
    assert run["current"]["value"] == ["$__all"]


def test_every_panel_says_how_it_is_read() -> None:
    """Who sees a panel for the first time finds a sentence on it, and no panel covers another."""
    for name, page in PAGES.items():
        taken: set[tuple[int, int]] = set()
        for made in page["panels"]:
            assert made["description"].endswith("."), (name, made["title"])
            place = made["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken, (name, made["title"])
            assert place["x"] + place["w"] <= 24
            taken |= cells


def figures() -> list[dict[str, Any]]:
    """Every panel that shows one number, large."""
    return [made for page in PAGES.values() for made in page["panels"] if made["type"] == "stat"]


@pytest.mark.parametrize("made", figures(), ids=lambda made: made["title"])
def test_a_figure_without_an_answer_says_so_and_is_no_alarm(made: dict[str, Any]) -> None:
    """No answer has words of its own; without a colour of its own it has the lowest threshold's."""
    (target,) = made["targets"]
    special = [
        found["options"]["result"]
        for found in made["fieldConfig"]["defaults"].get("mappings", ())
        if found["type"] == "special" and found["options"]["match"] == "null"
    ]
    if "vector(" in target["expr"]:
        assert special == []
    else:
        (nothing,) = special
        assert (bool(nothing["text"]), nothing["color"]) == (True, "blue")
        # Grafana shows no words where it was told to show names alone.
        assert made["options"]["textMode"] != "name"


@pytest.mark.parametrize("made", figures(), ids=lambda made: made["title"])
def test_a_figure_about_one_run_of_all_names_it(made: dict[str, Any]) -> None:
    """Of one answer Grafana shows the value alone unless it is told otherwise."""
    (target,) = made["targets"]
    if re.search(r"\b(topk|bottomk)\(", target["expr"]):
        assert made["options"]["textMode"] == "value_and_name"


def test_a_logarithmic_axis_has_no_zero() -> None:
    """It begins at a second."""
    curves = [made for page in PAGES.values() for made in page["panels"]]
    scales = {
        made["title"]: made["fieldConfig"]["defaults"]["min"]
        for made in curves
        if made["fieldConfig"]["defaults"].get("custom", {}).get("scaleDistribution")
    }
    assert scales == {"ETA: time to the soft limit": 1}


def provisioned(path: str) -> Any:
    """A file of Grafana's provisioning."""
    with open(os.path.join(ROOT, "grafana/provisioning", path), encoding="utf-8") as file:
        return yaml.safe_load(file)


def test_grafana_asks_as_often_as_prometheus_scrapes() -> None:
    """The data source's interval is that of the scrape, or rates would not see a short leak."""
    (source,) = provisioned("datasources/prometheus.yml")["datasources"]
    with open(os.path.join(ROOT, "prometheus/prometheus.yml"), encoding="utf-8") as file:
        every = yaml.safe_load(file)["global"]["scrape_interval"]
    assert source["uid"] == "prometheus"
    assert source["jsonData"]["timeInterval"] == every == "5s"

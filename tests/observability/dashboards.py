"""The dashboards as data: their panels, and what each of them asks."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.lab import ROOT

FOLDER = os.path.join(ROOT, "grafana/dashboards")

VARIABLES = {"$__rate_interval": "20s", "$__range": "15m", "$run": ".+"}
"""What Grafana puts into a query: four scrapes, the page's range, all runs."""


class Asked(NamedTuple):
    """One query: whose it is, the expression with its variables filled in, now or over time."""

    whose: str
    expr: str
    instant: bool


def read() -> dict[str, dict[str, Any]]:
    """Every dashboard by its file's name."""
    found = {}
    for name in sorted(os.listdir(FOLDER)):
        with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
            found[name] = json.load(file)
    return found


def filled(expr: str) -> str:
    """An expression as Grafana sends it."""
    for variable, value in VARIABLES.items():
        expr = expr.replace(variable, value)
    return expr


def queries() -> list[Asked]:
    """What all panels and annotations of all dashboards ask."""
    return [
        asked
        for name, dashboard in read().items()
        for asked in (*_of_panels(name, dashboard), *_of_annotations(name, dashboard))
    ]


def _of_panels(name: str, dashboard: Mapping[str, Any]) -> Iterator[Asked]:
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            whose = f"{name}: {panel['title']} {target['refId']}"
            yield Asked(whose, filled(target["expr"]), target["instant"])


def _of_annotations(name: str, dashboard: Mapping[str, Any]) -> Iterator[Asked]:
    for annotation in dashboard["annotations"].get("list") or ():
        yield Asked(f"{name}: mark {annotation['name']}", filled(annotation["expr"]), instant=False)

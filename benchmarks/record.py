"""What was measured where, in files: results/NAME.json, from which the page is made."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks import figures
from benchmarks.figures import Measured

RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results")
SITES = ("native", "6.1", "6.1-systemd", "6.12")
"""In the order of the page."""
SCHEMA = 1


class Scene(NamedTuple):
    """Where numbers come from, for people: the real machine, the kernel, the interpreter."""

    machine: str
    kernel: str
    python: str


class Record(NamedTuple):
    """All rows that were measured at one site."""

    site: str
    scene: Scene
    rows: tuple[Measured, ...]


def as_json(record: Record) -> dict[str, Any]:
    """`record` as JSON values."""
    return {
        "schema": SCHEMA,
        "site": record.site,
        "scene": record.scene._asdict(),
        "rows": [figures.as_json(row) for row in record.rows],
    }


def from_json(found: Mapping[str, Any]) -> Record:
    """What `as_json` made. Raises ValueError for another schema."""
    if found["schema"] != SCHEMA:
        raise ValueError(f"schema {found['schema']} is not {SCHEMA}: measure again")
    rows = tuple(figures.from_json(row) for row in found["rows"])
    return Record(found["site"], Scene(**found["scene"]), rows)


def merged(old: Record | None, new: Record, order: Sequence[str]) -> Record:
    """`new` over what was recorded before; rows in `order`.

    What failed replaces nothing. What was measured in another scene goes: one page must not
    show two machines as one.
    """
    kept = {} if old is None or old.scene != new.scene else {row.row: row for row in old.rows}
    kept |= {row.row: row for row in new.rows if not row.failure}
    return Record(new.site, new.scene, tuple(kept[name] for name in order if name in kept))


def save(record: Record, path: str) -> None:
    """Write `record` to `path` in one step."""
    with open(f"{path}.new", "w", encoding="ascii") as file:
        json.dump(as_json(record), file, indent=1)
        file.write("\n")
    os.replace(f"{path}.new", path)


def load(path: str) -> Record | None:
    """The record at `path`; None when there is none."""
    try:
        with open(path, encoding="ascii") as file:
            return from_json(json.load(file))
    except FileNotFoundError:
        return None


def recorded_path(site: str) -> str:
    """Where the results of a site are recorded."""
    return os.path.join(RESULTS, f"{site}.json")


def recorded() -> list[Record]:
    """All recorded results, in the order of the page."""
    found = (load(recorded_path(site)) for site in SITES)
    return [record for record in found if record is not None]

"""What is drawn from the code is what the code says now."""

import os
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from docs import blueprint, diagram, floorplan, statechart
from docs.floorplan import Room
from sentinel.model.events import Happening
from sentinel.policy.escalation import TABLE, State
from tests.lab import ROOT

SVG = "{http://www.w3.org/2000/svg}"
ROOMS = floorplan.survey(ROOT)


@pytest.mark.parametrize("path", diagram.DRAWN)
def test_a_drawing_is_not_stale(path: str) -> None:
    """Each drawn file is what `make diagram` would make of it."""
    assert diagram.read(ROOT, path) == diagram.drawings(ROOT)[path], "make diagram"


def test_a_drawing_without_its_markers_is_refused(tmp_path: Path) -> None:
    """A page that lost a marker is not overwritten."""
    page = tmp_path / "a.md"
    page.write_text(f"# A\n{diagram.BEGIN}\nold\n", encoding="utf-8")
    with pytest.raises(LookupError, match=r"a\.md lacks its markers"):
        diagram.between_markers(os.fspath(tmp_path), "a.md", "new")


def test_only_what_is_between_the_markers_is_replaced(tmp_path: Path) -> None:
    """What people wrote around the markers stays."""
    page = tmp_path / "a.md"
    page.write_text(f"# A\n{diagram.BEGIN}\nold\n{diagram.END}\nz\n", encoding="utf-8")
    drawn = diagram.between_markers(os.fspath(tmp_path), "a.md", "new")
    assert drawn == f"# A\n{diagram.BEGIN}\n\nnew\n\n{diagram.END}\nz\n"


def test_the_stop_is_told_completely() -> None:
    """Each change of the table is one row, each other cell is in its state's list."""
    text = statechart.sections()
    for state in State:
        for happening in Happening:
            after, actions = TABLE[state][happening]
            row = f"| {state.name} | {happening.value} | {after.name} |"
            assert (row in text) == bool(actions), row
    (quiet,) = [line for line in text.splitlines() if line.startswith("- KILLING: ")]
    assert quiet.split(": ")[1].split(", ") == [
        happening.value for happening in Happening if not TABLE[State.KILLING][happening][1]
    ]


def test_a_room_without_a_place_is_refused(tmp_path: Path) -> None:
    """A new package cannot be left out of the picture by mistake."""
    (tmp_path / "sentinel" / "attic").mkdir(parents=True)
    (tmp_path / "sentinel" / "attic" / "a.py").touch()
    with pytest.raises(LookupError, match="no place on the page for \\['attic'\\]"):
        floorplan.survey(os.fspath(tmp_path))


def test_an_import_that_leads_upwards_is_refused() -> None:
    """The layers of the page are those of the code: an arrow upwards has no place."""
    rooms = [Room("commands", "", (), frozenset()), Room("model", "", (), frozenset({"commands"}))]
    with pytest.raises(LookupError, match="model imports \\['commands'\\]"):
        blueprint.draw(rooms)


def test_the_picture_names_every_room_and_has_an_arrow_for_every_import() -> None:
    """As many arrow heads as imports, those of the foundation aside; every room has its name."""
    root = ET.fromstring(blueprint.draw(ROOMS))  # noqa: S314 - our own text
    words = [text.text for text in root.iter(f"{SVG}text")]
    assert [room.title for room in ROOMS if room.title not in words] == []
    heads = [path for path in root.iter(f"{SVG}path") if path.get("fill") != "none"]
    arrows = sum(len(room.imports - {floorplan.FOUNDATION}) for room in ROOMS)
    assert sum((path.get("d") or "").count("z") for path in heads) == arrows


def test_no_line_of_the_picture_crosses_a_room() -> None:
    """Lines pass through the gaps: what lies between two rooms is never covered."""
    rows, routes = blueprint.plan(ROOMS)
    for channel in range(len(rows) - 1):
        for route in routes:
            through = route[channel].exit if channel in route else None
            if through is not None:
                boxes = rows[channel + 1]
                assert not [box for box in boxes if box.left <= through <= box.left + box.width]

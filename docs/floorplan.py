"""The architecture as it is: rooms and imports measured from sentinel/, as a picture and a table.

The imports are those that tests/architecture/ judges, late ones included. Only where a room
lies on the page is decided here; a room without a place, or an import that leads upwards on
the page, is an error.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Sequence
from typing import NamedTuple

from tests.architecture import rules

LAYERS = (
    ("commands",),
    ("dashboard",),
    ("control", "metrics"),
    ("guard", "selection", "config", "report"),
    ("cgroup", "rss"),
    ("policy", "enclosure", "linux"),
    ("model",),
)
"""The page, edge on top and words at the bottom. Rooms that do not exist yet are left out."""

FOUNDATION = "model"
"""The room that all others stand on: its arrows would say nothing and hide the rest."""


class Room(NamedTuple):
    """A package or a single file of sentinel/: its law, its modules, the rooms it imports."""

    name: str
    law: str
    modules: tuple[str, ...]
    imports: frozenset[str]

    @property
    def title(self) -> str:
        """How the room is called in the tree."""
        return f"{self.name}/" if self.modules else f"{self.name}.py"


def survey(root: str) -> list[Room]:
    """Return every room of the package below `root`, from the top of the page down."""
    found: dict[str, list[rules.Module]] = {}
    for module in rules.modules(root):
        if module.room != "__init__":
            found.setdefault(module.room, []).append(module)
    places = [name for layer in LAYERS for name in layer]
    if homeless := found.keys() - set(places):
        raise LookupError(f"no place on the page for {sorted(homeless)}: add it to LAYERS")
    return [_room(name, found) for name in places if name in found]


def _room(name: str, found: dict[str, list[rules.Module]]) -> Room:
    modules = found[name]
    reached = {
        parts[1]
        for module in modules
        for item in rules.imports(module)
        if (parts := item.name.split("."))[0] == rules.PACKAGE and len(parts) > 1
    }
    head = min(modules, key=lambda module: (not module.path.endswith("__init__.py"), module.path))
    names = [os.path.basename(module.path).removesuffix(".py") for module in modules]
    return Room(
        name,
        law=(ast.get_docstring(head.tree) or "").partition("\n")[0],
        modules=tuple(sorted(set(names) - {"__init__"})) if os.sep in head.path else (),
        imports=frozenset(reached & found.keys() - {name}),
    )


def import_table(rooms: Sequence[Room]) -> str:
    """Return a Markdown table: each room, its law, what it may import, what it does import."""
    built = {room.name for room in rooms}
    lines = ["| room | law | may import | imports today |", "| --- | --- | --- | --- |"]
    for room in rooms:
        allowed = ", ".join(sorted(rules.ROOMS[room.name] & built)) or "nothing of ours"
        today = ", ".join(sorted(room.imports)) or "nothing of ours"
        lines.append(f"| `sentinel/{room.title}` | {room.law} | {allowed} | {today} |")
    return "\n".join(lines)

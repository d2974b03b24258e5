"""The floor plan as an SVG: boxes in layers, and each room's imports as one branching line.

A line leaves its room at the foot, runs along a lane of its own between two layers, and drops
into the rooms that it imports; it passes a layer through the gaps between the boxes. Sizes are
in units of the view box, one of which is a pixel where the picture is shown at full width.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from docs.floorplan import FOUNDATION, LAYERS, Room

WIDTH = 960
MARGIN = 44
GAP = 40
HEADER = 64
FOOTER = 20
LANE = 13
CHANNEL = 34
PADDING = 14
LETTER = 6.75
"""Width of an average letter at 13 units, on the safe side; so a line fits in any sans serif."""
LETTER_SMALL = 6.7
LINE = 18
CORNER = 6
RISER = 9
"""Distance between two lines that pass through one gap."""

INKS = ("#1f4e8c", "#0b6e4f", "#a3470d", "#6a3d9a", "#8c1d40", "#33691e", "#00626e", "#5d4037")
PAPER, BOX, TEXT, MUTED, FRAME = "#ffffff", "#f6f8fa", "#1f2328", "#59636e", "#d1d9e0"

Point = tuple[float, float]


@dataclass
class Box:
    """A room on the page, and the lines that end at its upper edge."""

    room: Room
    left: float
    width: float
    top: float = 0
    height: float = 0
    ink: str = MUTED
    arriving: list[tuple[float, str]] = field(default_factory=list)

    @property
    def middle(self) -> float:
        """Where its own line leaves."""
        return self.left + self.width / 2

    @property
    def letters(self) -> int:
        """How many letters of its law fit in a line."""
        return int((self.width - 2 * PADDING) / LETTER)

    def law(self) -> list[str]:
        """The law without the word in capitals that begins it, in lines that fit."""
        text = self.room.law.removeprefix(f"{self.role()}: ").replace("->", "→")
        text = text[:1].upper() + text[1:] if self.role() else text
        return textwrap.wrap(text, self.letters)

    def role(self) -> str:
        """The word in capitals that begins the law, if there is one."""
        word, colon, _ = self.room.law.partition(": ")
        return word if colon and word.isupper() else ""

    def contents(self) -> list[str]:
        """Names of its modules, in lines that fit."""
        fitting = int((self.width - 2 * PADDING) / LETTER_SMALL)
        return textwrap.wrap("\u00a0· ".join(self.room.modules), fitting)

    def port(self, source: str) -> float:
        """Where the line from `source` ends: in the order from the left, straight if possible."""
        order = sorted(self.arriving)
        index = [name for _, name in order].index(source)
        step = min(24.0, self.width / (len(order) + 1))
        port = self.middle + (index - (len(order) - 1) / 2) * step
        entry = order[index][0]
        return entry if abs(entry - port) < step / 2 else port


def draw(rooms: Sequence[Room]) -> str:
    """Return the picture of `rooms` as the text of an SVG file."""
    rows, routes = plan(rooms)
    bottom = rows[-1][0].top + rows[-1][0].height
    boxes = [box for row in rows for box in row]
    height = round(bottom + FOOTER)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"',
        f'     width="{WIDTH}" height="{height}" aria-labelledby="title description">',
        '<title id="title">The rooms of sentinel/ and their imports</title>',
        f'<desc id="description">{escape(_describe(rooms))}</desc>',
        f'<rect width="{WIDTH}" height="{height}" rx="10" fill="{PAPER}"/>',
        '<g font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">',
        _text(MARGIN, 30, "The rooms of sentinel/", size=17, weight=600),
        _text(MARGIN, 50, _legend(rooms), ink=MUTED),
        *(_line(box, route, rows) for box, route in zip(boxes, routes, strict=True)),
        *(_box(box, rooms) for box in boxes),
        "</g>",
        "</svg>",
    ]
    return "\n".join(filter(None, lines)) + "\n"


def plan(rooms: Sequence[Room]) -> tuple[list[list[Box]], list[Route]]:
    """Put every room into its place, and find the way of every line; both in the same order."""
    rows = _place(rooms)
    routes = _routes(rows)
    _stack(rows, routes)
    return rows, routes


def _place(rooms: Sequence[Room]) -> list[list[Box]]:
    """Give each layer the full width, and each room an equal share of it."""
    named = {room.name: room for room in rooms}
    rows: list[list[Box]] = []
    for layer in LAYERS:
        there = [named[name] for name in layer if name in named]
        width = (WIDTH - 2 * MARGIN - GAP * (len(there) - 1)) / max(1, len(there))
        row = [Box(room, MARGIN + index * (width + GAP), width) for index, room in enumerate(there)]
        rows += [row] if row else []
    inks = iter(INKS)
    for row in rows:
        for box in row:
            box.height = 40 + LINE * len(box.law()) + 17 * len(box.contents())
            box.ink = next(inks) if box.room.imports - {FOUNDATION} else MUTED
        for box in row:
            box.height = max(other.height for other in row)
    return rows


@dataclass
class Hop:
    """A line's way through one channel: where it comes in, its lane, where it goes out."""

    entry: float
    lane: int
    targets: list[Box]
    exit: float | None = None


Route = dict[int, Hop]
"""A room's line by channel; channel n lies below row n."""


def _routes(rows: list[list[Box]]) -> list[Route]:
    """Find every room's way down, row by row, so that no line crosses a box."""
    row_of = {box.room.name: index for index, row in enumerate(rows) for box in row}
    boxes = {box.room.name: box for row in rows for box in row}
    lanes = [0] * len(rows)
    taken: dict[tuple[int, float], int] = {}
    routes = []
    for box in boxes.values():
        here = row_of[box.room.name]
        targets = box.room.imports - {FOUNDATION}
        if upwards := sorted(name for name in targets if row_of[name] <= here):
            raise LookupError(f"{box.room.name} imports {upwards}, not below it: see LAYERS")
        route: Route = {}
        entry = box.middle
        deepest = max((row_of[name] for name in targets), default=here)
        for channel in range(here, deepest):
            ends = sorted(name for name in targets if row_of[name] == channel + 1)
            hop = Hop(entry, lanes[channel], [boxes[name] for name in ends])
            lanes[channel] += 1
            for target in hop.targets:
                target.arriving.append((entry, box.room.name))
            if channel + 1 < deepest:
                beyond = [boxes[name].middle for name in targets if row_of[name] > channel + 1]
                entry = _gap(rows[channel + 1], entry, sum(beyond) / len(beyond))
                nth = taken.get((channel, entry), 0)
                taken[channel, entry] = nth + 1
                entry += (nth + 1) // 2 * RISER * (-1) ** nth
                hop.exit = entry
            route[channel] = hop
        routes.append(route)
    return routes


def _gap(row: list[Box], entry: float, beyond: float) -> float:
    """The gap in `row` that makes the smallest detour from `entry` to `beyond`."""
    edges = [MARGIN / 2, WIDTH - MARGIN / 2]
    gaps = edges + [box.left - GAP / 2 for box in row[1:]]
    return min(gaps, key=lambda gap: (abs(gap - entry) + abs(gap - beyond), gap))


def _stack(rows: list[list[Box]], routes: list[Route]) -> None:
    """Put the rows below each other, each channel as high as its lanes need."""
    top = float(HEADER + 8)
    for index, row in enumerate(rows):
        for box in row:
            box.top = top
        lanes = max((route[index].lane + 1 for route in routes if index in route), default=0)
        top += row[0].height + CHANNEL + lanes * LANE


def _line(box: Box, route: Route, rows: list[list[Box]]) -> str:
    """Draw all of a room's imports, with a rim of paper where they cross others."""
    strokes: list[list[Point]] = []
    heads = []
    foot = box.top + box.height
    for channel, hop in route.items():
        below = rows[channel + 1][0].top
        lane = rows[channel][0].top + rows[channel][0].height + 16 + hop.lane * LANE
        for target in hop.targets:
            port = target.port(box.room.name)
            strokes.append([(hop.entry, foot), (hop.entry, lane), (port, lane), (port, below - 7)])
            heads.append(f"M{port:g} {below:g}l-4.5-9h9z")
        if hop.exit is not None:
            after = below + rows[channel + 1][0].height
            strokes.append([(hop.entry, foot), (hop.entry, lane), (hop.exit, lane)])
            strokes[-1].append((hop.exit, after))
            foot = after
    if not strokes:
        return ""
    path = "".join(map(_rounded, strokes))
    shape = f'd="{path}" fill="none" stroke-linejoin="round"'
    return (
        f'<path {shape} stroke="{PAPER}" stroke-width="6"/>\n'
        f'<path {shape} stroke="{box.ink}" stroke-width="1.6"/>\n'
        f'<path d="{"".join(heads)}" fill="{box.ink}"/>'
    )


def _rounded(points: list[Point]) -> str:
    """A path along right angles, its corners rounded as far as there is room."""
    start, turn, land, end = points
    shift = land[0] - turn[0]
    if not shift:
        return f"M{start[0]:g} {start[1]:g}V{end[1]:g}"
    radius = min(CORNER, abs(shift) / 2, turn[1] - start[1], end[1] - land[1])
    side = radius if shift > 0 else -radius
    return (
        f"M{start[0]:g} {start[1]:g}V{turn[1] - radius:g}q0 {radius:g} {side:g} {radius:g}"
        f"H{land[0] - side:g}q{side:g} 0 {side:g} {radius:g}V{end[1]:g}"
    )


def _box(box: Box, rooms: Sequence[Room]) -> str:
    """Draw a room: its name and role, its law, what is in it."""
    left, right = box.left + PADDING, box.left + box.width - PADDING
    lines = [
        _rect(box.left, box.top, box.width, box.height, f'rx="7" fill="{BOX}" stroke="{FRAME}"'),
        _rect(box.left, box.top + 8, 4, box.height - 16, f'rx="2" fill="{box.ink}"'),
        _text(left, box.top + 24, box.room.title, size=15, weight=600, ink=box.ink),
    ]
    note = box.role()
    if box.room.name == FOUNDATION:
        users = [room.name for room in rooms if FOUNDATION in room.imports]
        everybody = len(users) == len(rooms) - 1
        note += f" · imported by {'every room above' if everybody else ', '.join(users)}"
    lines.append(_text(right, box.top + 23, note.strip(" ·"), size=11, ink=MUTED, anchor="end"))
    y = box.top + 25
    for words in box.law():
        y += LINE
        lines.append(_text(left, y, words))
    y += 2
    for words in box.contents():
        y += 17
        lines.append(_text(left, y, words, size=11.5, ink=MUTED, mono=True))
    return "\n".join(filter(None, lines))


def _rect(x: float, y: float, width: float, height: float, look: str) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" {look}/>'


def _text(  # noqa: PLR0913 - what a word on paper has
    x: float,
    y: float,
    words: str,
    *,
    size: float = 13,
    weight: int = 400,
    ink: str = TEXT,
    anchor: str = "start",
    mono: bool = False,
) -> str:
    """Put `words` at a place; nothing for no words."""
    if not words:
        return ""
    family = ' font-family="ui-monospace, SFMono-Regular, Menlo, monospace"' if mono else ""
    bold = f' font-weight="{weight}"' if weight != 400 else ""
    side = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{ink}"{bold}{side}{family}>'
        f"{escape(words)}</text>"
    )


def _legend(rooms: Sequence[Room]) -> str:
    """Say what an arrow is, and which ones are left out."""
    left_out = sum(FOUNDATION in room.imports for room in rooms)
    return (
        f"An arrow is an import, read from the code. The {left_out} to {FOUNDATION}/ are not drawn."
    )


def _describe(rooms: Sequence[Room]) -> str:
    """The same in words, for those who cannot see it."""
    return " ".join(
        f"{room.name} imports {', '.join(sorted(room.imports)) or 'nothing'}." for room in rooms
    )

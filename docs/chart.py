"""Curves over time as an SVG: stacked bands, lines over them, each named where it ends.

Values are in MiB, times in seconds. Sizes are in units of the view box.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from docs.blueprint import FRAME, MUTED, PAPER, TEXT

WIDTH, HEIGHT = 960, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 130, 74, 40
LINE = 16
"""Distance that two names at the right keep."""
MOST_TICKS = 6
FONT = "system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"


class Band(NamedTuple):
    """An area of a stack."""

    name: str
    ink: str
    values: Sequence[float]


class Line(NamedTuple):
    """A curve."""

    name: str
    ink: str
    values: Sequence[float]
    dashed: bool = False
    stepped: bool = False
    wide: bool = False


class Chart(NamedTuple):
    """What is drawn: a heading, a sentence under it, and values for each of `times`."""

    title: str
    told: str
    times: Sequence[float]
    bands: Sequence[Band] = ()
    lines: Sequence[Line] = ()

    @property
    def top(self) -> float:
        """The largest value that must fit."""
        stack = zip(*(band.values for band in self.bands), strict=True)
        return 1.04 * max(*map(sum, stack), *(max(line.values) for line in self.lines), 0.0)

    def x(self, at: float) -> float:
        """Where a time is."""
        return LEFT + (WIDTH - LEFT - RIGHT) * at / self.times[-1]

    def y(self, value: float) -> float:
        """Where a value is."""
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.top


OF_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
OF_TIMES = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600)
"""Round distances of MiB, and of seconds."""


def step(largest: float, sizes: Sequence[int]) -> float:
    """The least of `sizes` that needs at most MOST_TICKS marks up to `largest`."""
    return float(next((size for size in sizes if largest / size <= MOST_TICKS), sizes[-1]))


def draw(chart: Chart) -> str:
    """The picture."""
    parts = [*_frame(chart), *_bands(chart), *_lines(chart), *_names(chart)]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"\n'
        f'     width="{WIDTH}" height="{HEIGHT}" aria-labelledby="title description">\n'
        f'<title id="title">{escape(chart.title)}</title>\n'
        f'<desc id="description">{escape(chart.told)}</desc>'
    )
    paper = f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="{PAPER}"/>'
    return "\n".join([head, paper, f'<g font-family="{FONT}">', *parts, "</g>", "</svg>", ""])


def _text(x: float, y: float, words: str, ink: str = MUTED, more: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="{ink}" {more}>{escape(words)}</text>'


def _frame(chart: Chart) -> Iterator[str]:
    """Heading, grid, axes."""
    yield _text(LEFT, 32, chart.title, TEXT, 'font-size="17" font-weight="600"')
    yield _text(LEFT, 54, chart.told, MUTED, 'font-size="13"')
    size = step(chart.top, OF_SIZES)
    for number in range(int(chart.top / size) + 1):
        value = number * size
        y = chart.y(value)
        yield f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{FRAME}"/>'
        unit = " MiB" if (number + 1) * size > chart.top else ""
        yield _text(LEFT - 8, y + 4, f"{value:.0f}{unit}", more='font-size="12" text-anchor="end"')
    size = step(chart.times[-1], OF_TIMES)
    for number in range(int(chart.times[-1] / size) + 1):
        at = number * size
        unit = " s" if (number + 1) * size > chart.times[-1] else ""
        label = 'font-size="12" text-anchor="middle"'
        yield _text(chart.x(at), HEIGHT - BOTTOM + 20, f"{at:.0f}{unit}", more=label)


def _bands(chart: Chart) -> Iterator[str]:
    """The stack, from the bottom up."""
    below = [0.0] * len(chart.times)
    for band in chart.bands:
        above = [under + value for under, value in zip(below, band.values, strict=True)]
        there = " ".join(_points(chart, above))
        back = " ".join(reversed(list(_points(chart, below))))
        yield f'<polygon points="{there} {back}" fill="{band.ink}" fill-opacity="0.75"/>'
        below = above


def _points(chart: Chart, values: Sequence[float]) -> Iterator[str]:
    for at, value in zip(chart.times, values, strict=True):
        yield f"{chart.x(at):.1f},{chart.y(value):.1f}"


def _lines(chart: Chart) -> Iterator[str]:
    for line in chart.lines:
        points = list(zip(chart.times, line.values, strict=True))
        path = f"M{chart.x(points[0][0]):.1f} {chart.y(points[0][1]):.1f}"
        for at, value in points[1:]:
            x, y = f"{chart.x(at):.1f}", f"{chart.y(value):.1f}"
            path += f"H{x}V{y}" if line.stepped else f"L{x} {y}"
        look = ' stroke-dasharray="9 5"' if line.dashed else ""
        width = 3.2 if line.wide else 1.8
        yield (
            f'<path d="{path}" fill="none" stroke="{line.ink}" stroke-width="{width}"'
            f' stroke-linejoin="round"{look}/>'
        )


def _names(chart: Chart) -> Iterator[str]:
    """Each name beside the end of its curve, as near as the others leave room."""
    wanted = [(chart.y(line.values[-1]), line.name, line.ink) for line in chart.lines]
    below = 0.0
    for band in chart.bands:
        wanted.append((chart.y(below + band.values[-1] / 2), band.name, band.ink))
        below += band.values[-1]
    free = -1e9
    for y, name, ink in sorted(wanted):
        free = max(y, free + LINE)
        yield _text(WIDTH - RIGHT + 10, free + 4, name, ink, 'font-size="13" font-weight="600"')

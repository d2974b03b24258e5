"""Bars, sparklines and figures: numbers as short text. Unknown is shown as a dash, never as 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text

from sentinel.model.spec import Limits
from sentinel.model.units import format_duration, format_size

UNKNOWN = "-"
NEAR = 0.75
"""Share of the soft limit from which on a bar is yellow."""

STEADY = 64 * 1024
"""Bytes per second: what grows or shrinks more slowly than this stands still."""


class Glyphs(NamedTuple):
    """What is drawn with; the second set is for terminals that know no more than ASCII."""

    levels: str = "▁▂▃▄▅▆▇█"
    eighths: str = "▏▎▍▌▋▊▉"
    full: str = "█"
    empty: str = "░"
    soft: str = "┃"
    cursor: str = "▶"
    branch: str = "└ "
    rule: str = "─"
    gap: str = " · "
    ellipsis: str = "…"
    arrows: str = "↑↓"


UNICODE = Glyphs()
ASCII = Glyphs("_.-=+*%#", "", "#", ".", "|", ">", "- ", "-", " - ", "~", "up down")


def size(value: float | None) -> str:
    """Bytes in short."""
    return UNKNOWN if value is None else format_size(value)


def seconds(value: float | None) -> str:
    """A time in short, whole seconds from ten on."""
    if value is None:
        return UNKNOWN
    if value >= 100 * 3600:
        return f"{value / 86400:.0f}d" if value < 10_000 * 86400 else "long"
    return format_duration(value if value < 10 else round(value))


def growth(value: float | None) -> str:
    """Bytes per second with their sign."""
    if value is None:
        return UNKNOWN
    if abs(value) < STEADY:
        return "steady"
    return f"{'+' if value > 0 else '-'}{format_size(abs(value))}/s"


def colour(used: float, soft: int) -> str:
    """Green, yellow near the soft limit, red over it."""
    if used > soft:
        return "red"
    return "yellow" if used >= soft * NEAR else "green"


def sparkline(values: Sequence[int], width: int, soft: int, glyphs: Glyphs) -> Text:
    """The newest `width` values, scaled from zero to their largest, each in its colour."""
    shown = list(values)[-max(0, width) :] if width > 0 else []
    top = max(shown, default=0)
    line = Text(no_wrap=True)
    for value in shown:
        level = 0 if top <= 0 else min(len(glyphs.levels) - 1, value * len(glyphs.levels) // top)
        line.append(glyphs.levels[level], colour(value, soft))
    return line


def bar(used: int | None, limits: Limits, width: int, glyphs: Glyphs) -> Text:
    """What is used against the wall, with a mark where the soft limit is.

    Without a hard limit the soft one stands at four fifths, or what is used fills the bar.
    """
    if width <= 0:
        return Text()
    top = limits.hard or max(limits.soft * 5 // 4, used or 0)
    filled = _scaled(used or 0, top, width)
    whole, part = divmod(round(filled * 8), 8)
    cells = [glyphs.full] * whole
    if part and glyphs.eighths:
        cells.append(glyphs.eighths[part - 1])
    style = colour(used or 0, limits.soft)
    line = Text("".join(cells[:width]), style, no_wrap=True)
    line.append(glyphs.empty * (width - len(line)), "dim")
    at = min(width - 1, int(_scaled(limits.soft, top, width)))
    mark = Text(glyphs.soft, "bold red" if (used or 0) > limits.soft else "bold")
    return line[:at] + mark + line[at + 1 :]


def _scaled(value: int, top: int, width: int) -> float:
    return 0.0 if top <= 0 else min(1.0, value / top) * width


def small_bar(used: int | None, soft: int, width: int, glyphs: Glyphs) -> Text:
    """What is used against the soft limit alone, and the share in percent."""
    if used is None or soft <= 0 or width < 6:
        return Text(UNKNOWN)
    share = used / soft
    cells = min(width - 5, int(share * (width - 5)))
    line = Text(glyphs.full * cells, colour(used, soft), no_wrap=True)
    line.append(glyphs.empty * (width - 5 - cells), "dim")
    line.append(f"{min(share * 100, 999):4.0f}%")
    return line

"""Lines as tables, for a terminal and for Markdown. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.figures import Line, Of, Series, Spread, Target, Unit

HEADINGS = ("measured", "Sentinel", "against", "there", "ratio", "n", "target")

_SCALES: dict[Unit, tuple[tuple[float, str], ...]] = {
    Unit.SECONDS: ((1.0, " s"), (1e-3, " ms"), (1e-6, " us")),
    Unit.BYTES: ((float(1 << 20), " MiB"),),
    Unit.FRACTION: ((0.01, " %"),),
    Unit.COUNT: ((1.0, ""),),
}
"""Unit and name, largest first; the smallest also serves what is smaller still."""


def number(value: float) -> str:
    """Three significant digits, never an exponent."""
    if value == 0:
        return "0"
    size = abs(float(f"{value:.3g}"))
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if size < 1 else text


def quantity(spread: Spread, unit: Unit) -> str:
    """Median and, where they differ, the ends, all in the unit that suits the median."""
    scales = _SCALES[unit]
    factor, name = next((s for s in scales if abs(spread.median) >= s[0]), scales[-1])
    middle, least, most = (number(value / factor) for value in spread)
    if unit is Unit.COUNT:
        middle, least, most = (f"{value:g}" for value in spread)
    return f"{middle}{name}" if least == most else f"{middle}{name} [{least}, {most}]"


def series_cell(series: Series | None, unit: Unit) -> str:
    """What a contestant reached."""
    if series is None:
        return ""
    if not series.values:
        return "not seen"
    if unit is Unit.SUCCESSES:
        return f"{sum(1 for value in series.values if value)} of {len(series.values)}"
    return quantity(series.spread(), unit)


def ratio_cell(ratio: Spread | None) -> str:
    """A ratio with its ends."""
    if ratio is None:
        return ""
    middle, least, most = map(number, ratio)
    return middle if least == most else f"{middle} [{least}, {most}]"


def target_text(target: Target | None, unit: Unit) -> str:
    """The target in words."""
    if target is None:
        return ""
    if target.of is Of.EVERY:
        return "always"
    if target.of is Of.RATIO:
        return f"ratio at most {number(target.most)}"
    if target.of is Of.MEDIANS:
        return f"median at most {number(target.most)} of theirs"
    bound = quantity(Spread(target.most, target.most, target.most), unit)
    return f"{'median' if target.of is Of.MEDIAN else 'never over'} {bound}"


def target_cell(line: Line) -> str:
    """The target and whether it was reached."""
    text = target_text(line.target, line.unit)
    verdict = {True: "met", False: "MISSED", None: "not known"}[line.met()]
    return f"{text}: {verdict}" if text else ""


def rounds_cell(line: Line) -> str:
    """How many rounds; both numbers where they differ."""
    counts = [len(line.subject.values)]
    if line.baseline is not None and len(line.baseline.values) != counts[0]:
        counts.append(len(line.baseline.values))
    return "/".join(map(str, counts))


def cells(line: Line) -> tuple[str, ...]:
    """One line in the order of HEADINGS."""
    return (
        line.what,
        series_cell(line.subject, line.unit),
        line.baseline.who if line.baseline else "",
        series_cell(line.baseline, line.unit),
        ratio_cell(line.ratio()),
        rounds_cell(line),
        target_cell(line),
    )


def as_text(lines: Sequence[Line]) -> str:
    """A table for a terminal."""
    rows = [HEADINGS, *map(cells, lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def as_markdown(lines: Sequence[tuple[str, Line]]) -> str:
    """A table for a page, of lines and where they were measured."""
    body = [(where, *cells(line)) for where, line in lines]
    rows = [("where", *HEADINGS), ("---",) * (len(HEADINGS) + 1), *map(_escaped, body)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _escaped(row: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(cell.replace("|", "\\|").replace("MISSED", "**missed**") for cell in row)
